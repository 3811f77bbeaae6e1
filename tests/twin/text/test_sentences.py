import pytest

from twin.text.sentences import sentence_spans, sentences


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


def test_spans_are_places_in_the_text_itself():
    text = "  One. Two\u2028 three!\r\n\n\t\N{GRINNING FACE} 我在家。你来。 \n"
    spans = sentence_spans(text)
    assert [text[start:end] for start, end in spans] == [
        "One.", "Two", "three!", "\N{GRINNING FACE} 我在家。", "你来。",
    ]  # fmt: skip
    assert spans[0] == (2, 6)
