"""Groups of documents that hang together."""

from hypothesis import given
from hypothesis import strategies as st

from twin.domain.groups import grouped

NAMES = st.sampled_from("abcdefgh")


def test_what_hangs_together_over_several_steps_is_one_group():
    assert list(grouped("edcba", [("a", "c"), ("d", "e"), ("c", "e")])) == [
        ("a", "c", "d", "e"),
        ("b",),
    ]


def test_others_are_passed_over():
    assert list(grouped(["a", "b"], [("a", "x"), ("x", "b"), ()])) == [("a",), ("b",)]


@given(st.sets(NAMES), st.lists(st.tuples(NAMES, NAMES)))
def test_each_document_is_in_one_group_and_pairs_are_never_parted(ids, pairs):
    found = list(grouped(ids, pairs))
    assert sorted(each for group in found for each in group) == sorted(ids)
    group_of = {each: group for group in found for each in group}
    assert all(group_of[a] == group_of[b] for a, b in pairs if {a, b} <= ids)
