"""Recall and reciprocal rank."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.evaluation.retrieval import first_relevant, ndcg, ranks, recall, reciprocal_rank


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


def test_ndcg_is_one_when_all_that_is_relevant_stands_first():
    assert ndcg(["a", "b", "c"], {"a", "b"}, 10) == 1
    assert ndcg(["c", "a"], {"a"}, 10) == pytest.approx(1 / math.log2(3))
    assert ndcg(["c", "a"], {"a"}, 1) == 0
    assert ndcg(["a"], {"a", "b", "c"}, 1) == 1
    gained = 1 / math.log2(3) + 1 / math.log2(5)
    assert ndcg(["x", "a", "y", "b"], {"a", "b"}, 10) == pytest.approx(
        gained / (1 + 1 / math.log2(3))
    )


def test_the_first_relevant_one_counts():
    assert first_relevant(["x", "a", "b"], {"a", "b"}, 10) == 2
    assert first_relevant(["x", "a"], {"a"}, 1) == 0
    assert first_relevant([], {"a"}, 5) == 0
