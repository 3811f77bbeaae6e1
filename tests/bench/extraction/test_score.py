"""The score agrees with what one counts by hand."""

import pytest

from tests.bench.extraction.score import Overlap, overlap, score, shingles


def test_shingles_are_runs_of_four_tokens_with_counts() -> None:
    assert shingles("a b c d e") == {("a", "b", "c", "d"): 1, ("b", "c", "d", "e"): 1}
    assert shingles("x x x x x")[("x",) * 4] == 2
    assert shingles("Only, two!") == {("Only", "two"): 1}
    assert not shingles(" .,- ")


@pytest.mark.parametrize(
    ("right", "found", "expected"),
    [
        ("a b c d e", "a b c d e", Overlap(1.0, 1.0)),
        ("a b c d e", "a b c d", Overlap(1.0, 0.5)),
        ("a b c d", "a b c d e", Overlap(0.5, 1.0)),
        ("a b c d", "", Overlap(0.0, 0.0)),
        ("", "a b c d", Overlap(0.0, 0.0)),
        ("", "", Overlap(1.0, 1.0)),
        ("x x x x", "x x x x x", Overlap(0.5, 1.0)),
    ],
)
def test_overlap_of_a_page(right: str, found: str, expected: Overlap) -> None:
    assert overlap(right, found) == expected


def test_f1_is_that_of_the_averages() -> None:
    result = score([Overlap(1.0, 0.5), Overlap(0.5, 1.0)])
    assert (result.precision, result.recall, result.f1) == (0.75, 0.75, 0.75)
    assert result.error < 0.2
    assert score([Overlap(0.5, 0.5)] * 5).error == 0
    assert score([Overlap(0.0, 0.0)]).f1 == 0
