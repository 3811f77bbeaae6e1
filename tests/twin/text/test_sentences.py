import pytest

from twin.text.sentences import sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n ", []),
        ("One. Two things! Three?", ["One.", "Two things!", "Three?"]),
        ("A line\nand a line", ["A line", "and a line"]),
        ("| a | b |\n|---|---|", ["| a | b |", "|---|---|"]),
        ("我在家。你来。", ["我在家。", "你来。"]),
        ("It is 3.5 m long. Yes.", ["It is 3.5 m long.", "Yes."]),
    ],
)
def test_sentences_of_any_script(text, expected):
    assert sentences(text) == expected
