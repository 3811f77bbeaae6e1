"""Copied text, recognised by its runs of words."""

import pytest

from twin.text.shingles import MOST_HOLDERS, SHINGLE, alike, is_copy, shingles

WORDS = [f"word{number}" for number in range(40)]


def text(first, last):
    return " ".join(WORDS[first:last])


def test_shingles_are_runs_of_eight_words_whatever_their_case():
    assert shingles(text(0, SHINGLE)) == {hash(tuple(WORDS[:SHINGLE]))}
    assert len(shingles(text(0, SHINGLE))) == 1
    assert shingles(text(0, SHINGLE - 1)) == set()
    assert len(shingles(text(0, 20))) == 13
    assert shingles("One, TWO three four five six seven: eight!") == shingles(
        "one two three four five six seven eight"
    )


@pytest.mark.parametrize(("shared", "copied"), [(6, False), (7, True), (12, True)])
def test_more_than_half_of_the_shingles_make_a_copy(shared, copied):
    found = shingles(text(0, 19))  # twelve
    assert is_copy(found, sorted(found)[:shared]) is copied


def test_a_short_text_is_no_copy():
    assert not is_copy(shingles("Yes."), shingles(text(0, 20)))


def test_the_shorter_document_decides():
    held = {"short": [text(0, 12)], "long": [text(0, 10), text(0, 40)], "other": [text(30, 40)]}
    assert alike(held) == [("long", "other"), ("long", "short")]


def test_nothing_is_alike_where_there_is_too_little_of_it():
    assert alike({}) == []
    assert alike({"one": [], "other": ["A few words."], "third": ["A few words."]}) == []


def test_each_pair_of_three_that_say_the_same_is_named():
    held = {name: [text(0, 20)] for name in ("c", "a", "b")}
    assert alike(held) == [("a", "b"), ("a", "c"), ("b", "c")]


def test_a_formula_of_many_is_passed_over():
    few = {f"document {n:02}": [text(0, 12)] for n in range(MOST_HOLDERS)}
    assert len(alike(few)) == MOST_HOLDERS * (MOST_HOLDERS - 1) // 2
    assert alike(few | {"one more": [text(0, 12)]}) == []
