"""Recall and reciprocal rank."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.evaluation.retrieval import ranks, recall, reciprocal_rank


def test_ranks_are_places_among_the_first_k():
    found = {"q1": ["a", "b", "c"], "q2": ["b", "a", "c"], "q3": ["x", "y", "z"]}
    asked = []

    def search(question, k):
        asked.append(k)
        return found[question][:k]

    assert ranks(["q1", "q2", "q3"], ["a", "a", "z"], search, 2) == [1, 2, 0]
    assert asked == [2, 2, 2]


def test_the_figures_of_known_ranks():
    every = np.ones(4)
    assert recall([1, 2, 0, 4]).of(every) == pytest.approx(0.75)
    assert reciprocal_rank([1, 2, 0, 4]).of(every) == pytest.approx((1 + 0.5 + 0.25) / 4)


@given(st.lists(st.integers(0, 10), min_size=1, max_size=50))
def test_reciprocal_rank_never_exceeds_recall(found):
    every = np.ones(len(found))
    assert 0 <= reciprocal_rank(found).of(every) <= recall(found).of(every) <= 1
