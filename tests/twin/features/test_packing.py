"""Packing: full chunks that end at mild places."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.features.packing import Span, UnitsOfSection, pack
from twin.features.splitting import Unit

BUDGET = 100


def section(*tokens: int, path=(), start=0, headings=(), heading_tokens=0) -> UnitsOfSection:
    """Units one after another, each as many characters long as it has tokens."""
    units = []
    for size in tokens:
        units.append(Unit(start, start + size, size))
        start += size
    return UnitsOfSection(tuple(path), units, tuple(headings), heading_tokens)


def sizes(spans: list[Span]) -> list[int]:
    return [span.end - span.start for span in spans]


def packed(*sections: UnitsOfSection) -> list[Span]:
    return pack(sections, BUDGET, len)


def test_nothing_makes_nothing():
    assert packed() == []


def test_paragraphs_are_gathered():
    assert sizes(packed(section(30, 30, 30))) == [90]


def test_no_tiny_rest_is_left():
    assert sizes(packed(section(30, 30, 30, 30))) == [60, 60]


def test_a_sentence_end_is_taken_only_where_it_pays():
    whole = Unit(0, 60, 60)
    torn = [Unit(60, 100, 40, harshness=0.75), Unit(100, 160, 60)]
    assert sizes(packed(UnitsOfSection((), [whole, *torn]))) == [60, 100]


def test_sections_are_kept_apart():
    spans = packed(section(60, path=["A"]), section(60, path=["B"], start=60))
    assert spans == [Span(0, 60, ("A",)), Span(60, 120, ("B",))]


def test_small_sections_are_joined_under_what_their_paths_share():
    spans = packed(
        section(20, path=["A", "B"], start=12, headings=[0, 5], heading_tokens=4),
        section(20, path=["A", "C"], start=40, headings=[35], heading_tokens=2),
    )
    assert spans == [Span(5, 60, ("A",))]


def test_the_tail_of_a_section_is_not_joined_to_the_next():
    spans = packed(section(90, 90, 10, path=["A"]), section(10, path=["B"], start=195))
    assert spans[-1] == Span(195, 205, ("B",))


def test_a_section_keeps_the_heading_that_stands_further_out():
    """Joined with B, the text of A2 would lose its heading A, which stands before A's text."""
    spans = packed(
        section(90, path=["A"], start=5, headings=[0]),
        section(10, path=["A", "A2"], start=100, headings=[96], heading_tokens=2),
        section(10, path=["B"], start=115, headings=[111], heading_tokens=2),
    )
    assert [span.path for span in spans] == [("A",), ("A", "A2"), ("B",)]


def test_a_torn_sentence_costs_more_than_a_chunk_that_is_less_full():
    units = [Unit(0, 40, 40), Unit(40, 90, 50, harshness=0.8), Unit(90, 140, 50)]
    assert sizes(packed(UnitsOfSection((), units))) == [40, 100]


@pytest.mark.parametrize(("size", "spans"), [(30, 1), (40, 2)])
def test_sections_are_joined_where_each_is_under_a_third(size, spans):
    found = packed(section(size, headings=[0]), section(size, start=size, headings=[size]))
    assert len(found) == spans


@pytest.mark.parametrize(("own", "following", "spans"), [(4, 2, 1), (60, 2, 2), (4, 80, 2)])
def test_headings_that_would_stand_in_a_chunk_count_for_its_size(own, following, spans):
    found = packed(
        section(20, path=["A", "B"], start=12, headings=[0, 5], heading_tokens=own),
        section(20, path=["A", "C"], start=40, headings=[35], heading_tokens=following),
    )
    assert len(found) == spans


def test_a_join_ends_where_a_section_does():
    found = packed(
        section(20, path=["A"], start=2, headings=[0], heading_tokens=1),
        section(20, 90, path=["B"], start=24, headings=[22], heading_tokens=1),
    )
    assert [span.path for span in found] == [("A",), ("B",), ("B",)]


def test_paths_share_what_they_have_in_common_from_the_outside_only():
    [joined] = packed(
        section(15, path=["A", "X"], start=4, headings=[0, 2], heading_tokens=2),
        section(15, path=["B", "X"], start=25, headings=[20, 22], heading_tokens=2),
    )
    assert joined.path == ()


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(1, 80), min_size=1, max_size=8),
            st.lists(st.sampled_from("ABC"), max_size=3),
        ),
        max_size=6,
    )
)
def test_every_unit_is_in_exactly_one_chunk_and_chunks_fit(drawn):
    sections = []
    start = 0
    for tokens, path in drawn:
        sections.append(section(*tokens, path=path, start=start, headings=[start] * len(path)))
        start += sum(tokens)
    spans = packed(*sections)
    assert "".join("x" * size for size in sizes(spans)) == "x" * start
    assert all(a.end == b.start for a, b in pairwise(spans))
    assert all(span.end - span.start + len(span.path) <= BUDGET for span in spans)
