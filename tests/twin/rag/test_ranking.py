"""Figures of an order of passages."""

import math

import pytest

from twin.rag.ranking import first_relevant, ndcg


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
