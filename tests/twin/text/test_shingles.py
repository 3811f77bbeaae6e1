"""Copied text, recognised by its runs of words."""

import hashlib

import numpy as np
import pytest

from twin.text import shingles as module
from twin.text.shingles import (
    MOST_HOLDERS,
    SHINGLE,
    alike,
    is_copy,
    is_copy_of_sorted,
    number_of,
    shingle_array,
    shingles,
)

WORDS = [f"word{number}" for number in range(40)]


def text(first, last):
    return " ".join(WORDS[first:last])


def test_shingles_are_runs_of_eight_words_whatever_their_case():
    assert len(shingles(text(0, SHINGLE))) == 1
    assert shingles(text(0, SHINGLE - 1)) == set()
    assert len(shingles(text(0, 20))) == 13
    assert shingles("One, TWO three four five six seven: eight!") == shingles(
        "one two three four five six seven eight"
    )


def test_numbers_are_the_same_in_every_process():
    """Shards are joined by them; Python's own hashes differ."""
    digest = hashlib.blake2b(b"pods", digest_size=8).digest()
    assert number_of("pods") == int.from_bytes(digest, "little", signed=True)
    number = 0
    for word in WORDS[3 : 3 + SHINGLE]:
        number = (number * 0x9E3779B97F4A7C15 + number_of(word)) % 2**64
    assert set(shingle_array(text(3, 3 + SHINGLE)).view(np.uint64).tolist()) == {number}


def test_each_shingle_comes_once_in_order():
    runs = shingle_array(f"{text(0, 20)} {text(0, 20)}")
    assert (np.diff(runs) > 0).all()
    assert len(runs) == 13 + SHINGLE - 1, "those across the seam, too"
    assert shingles(text(0, 20)) < set(runs.tolist())


def test_words_in_another_order_are_others():
    swapped = [*WORDS[:6], WORDS[7], WORDS[6]]
    assert shingles(" ".join(swapped)).isdisjoint(shingles(text(0, SHINGLE)))


@pytest.mark.parametrize(("shared", "copied"), [(6, False), (7, True), (12, True)])
def test_more_than_half_of_the_shingles_make_a_copy(shared, copied):
    found = shingle_array(text(0, 19))  # twelve
    assert is_copy(set(found.tolist()), found[:shared].tolist()) is copied
    others = np.unique(np.concatenate([found[:shared], shingle_array(text(25, 40))]))
    assert is_copy_of_sorted(found, others) is copied
    assert is_copy_of_sorted(found, found[-shared:]) is copied


def test_nothing_is_a_copy_of_nothing():
    empty = np.empty(0, dtype=np.int64)
    assert not is_copy_of_sorted(empty, shingle_array(text(0, 20)))
    assert not is_copy_of_sorted(shingle_array(text(0, 20)), empty)


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


def test_however_few_are_sorted_at_once_the_pairs_are_the_same(monkeypatch):
    held = {
        "short": [text(0, 12)],
        "long": [text(0, 10), text(0, 40)],
        "other": [text(30, 40)],
        "again": [text(5, 40)],
    }
    whole = alike(held)
    assert len(whole) == 4
    monkeypatch.setattr(module, "_SORTED_AT_ONCE", 10)
    assert alike(held) == whole
