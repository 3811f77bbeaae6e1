"""How like two texts are, and whether one is the other's beginning."""

import pytest

from twin.text.likeness import is_same_but_for_ending, likeness

ANSWER = "The anchor stands in room 6, near the door."


@pytest.mark.parametrize(
    ("text", "is_cut", "same"),
    [
        (ANSWER, False, True),
        ("the anchor STANDS in room 6 near\nthe door", False, True),
        (f"{ANSWER} </passage", False, True),
        (f"{ANSWER} It was painted. Room 6.", False, True),
        ("The anchor stands in room 6.", False, True),
        ("The anch", True, True),
        ("The anch", False, False),
        ("The anchor stands in room 65, near the door.", False, False),
        ("The anchor stands in room 65", True, False),
        ("An anchor stands in room 6, near the door.", False, False),
        ("Near the door.", False, False),
    ],
)
def test_texts_that_differ_in_their_ending_only_are_the_same(text, is_cut, same):
    assert is_same_but_for_ending(ANSWER, text, is_cut=is_cut) is same


def test_a_longer_number_is_another_answer():
    assert not is_same_but_for_ending("Six.", "Sixteen.")
    assert not is_same_but_for_ending("Sixteen.", "Six.")
    assert is_same_but_for_ending("Sixteen.", "Six", is_cut=True)


@pytest.mark.parametrize(
    ("one", "other", "value"),
    [
        ("a b c d", "A, b: c d!", 1.0),
        ("a b", "c d", 0.0),
        ("a b c d", "a b x d", 0.75),
        ("a b", "b a", 0.5),
        ("a", "a b c", 0.5),
    ],
)
def test_likeness_is_of_words_in_their_order(one, other, value):
    assert likeness(one, other) == likeness(other, one) == value
