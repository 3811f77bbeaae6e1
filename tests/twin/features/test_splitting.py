"""Blocks over the budget are cut at the mildest place."""
# ruff: noqa: RUF001 - letters that look like others are what is tested

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.features.markdown import Block
from twin.features.splitting import units_of


def words(text: str) -> int:
    return len(text.split())


def cut(text: str, kind: str = "paragraph", budget: int = 16, count=words) -> list[str]:
    return [
        text[unit.start : unit.end]
        for unit in units_of(text, Block(kind, 0, len(text)), budget, count)
    ]


def test_what_fits_is_not_cut():
    assert cut("One. Two. Three.") == ["One. Two. Three."]


def test_prose_is_cut_between_sentences():
    text = 'He said "one two three." Then four five six (seven)! Is e.g. this eight? ' * 2
    assert cut(text.strip())[:3] == [
        'He said "one two three."',
        "Then four five six (seven)!",
        "Is e.g.",
    ]


def test_chinese_is_cut_at_its_full_stops():
    assert cut("甲乙丙。丁戊！" * 3, budget=6, count=len)[:2] == ["甲乙丙。", "丁戊！"]


def test_a_list_is_cut_between_items_and_nested_ones_stay():
    items = [f"- item {n} is here\n  - nested {n}" for n in range(6)]
    assert cut("\n".join(items), "list", budget=20) == items


def test_code_and_tables_are_cut_between_lines():
    lines = [f"    value_{n} = compute( {n} )" for n in range(8)]
    assert cut("\n".join(lines), "code", budget=12) == lines
    rows = [f"| row {n} | value {n} |" for n in range(8)]
    assert cut("\n".join(rows), "table", budget=20) == rows


def test_small_pieces_are_joined():
    text = " ".join(f"{n}." for n in range(1000))
    assert len(cut(text, budget=160)) == 50


def test_a_sentence_over_the_budget_is_cut_between_words():
    assert cut("a b c d e f g h", budget=4) == list("abcdefgh")


def test_a_run_without_blanks_is_cut_anywhere():
    pieces = cut("x" * 1000, budget=100, count=len)
    assert "".join(pieces) == "x" * 1000
    assert max(map(len, pieces)) <= 100


def test_ending_after_a_word_is_harsher_than_after_a_sentence_and_the_end_is_not_harsh():
    text = "One two three four. Five six " + "seven " * 20
    units = units_of(text, Block("paragraph", 0, len(text)), 8, words)
    assert units[0].harshness < units[1].harshness
    assert units[-1].harshness == 0


@pytest.mark.parametrize("kind", ["paragraph", "list", "code", "table", "other", "heading"])
@given(text=st.text(st.sampled_from("ab.!?。 \n-1)|`#é中"), min_size=1), budget=st.integers(8, 40))
def test_units_fit_and_hold_every_character(kind, text, budget):
    if not text.strip():
        return
    block = Block(kind, 0, len(text))
    units = units_of(text, block, budget, len)
    assert all(unit.tokens <= budget for unit in units)
    held = "".join(text[unit.start : unit.end] for unit in units)
    assert re.sub(r"\s", "", held) == re.sub(r"\s", "", text)
