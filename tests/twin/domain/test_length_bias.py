"""The area under the curve of length, by which pairs are judged and chosen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.domain.length_bias import length_auc


@pytest.mark.parametrize(
    ("lengths", "auc"),
    [
        ([], None),
        ([(1, 2), (3, 4)], 0.25),
        ([(5, 1), (6, 2)], 1.0),
        ([(1, 5), (2, 6)], 0.0),
        ([(3, 3)], 0.5),
        ([(1, 3), (3, 1)], 0.5),
    ],
)
def test_the_area_is_that_of_every_chosen_against_every_rejected(lengths, auc):
    assert length_auc(lengths) == auc


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20))
def test_the_area_by_ranks_is_the_area_by_counting(lengths):
    wins = sum((a > b) + 0.5 * (a == b) for a, _ in lengths for _, b in lengths)
    assert length_auc(lengths) == pytest.approx(wins / len(lengths) ** 2, abs=1e-4)
