"""Topic masking: what is hidden, what stays, and in which languages."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.evaluation.masking import Mask, length, mask_of, pieces


@pytest.fixture(scope="module")
def mask() -> Mask:
    made = mask_of("en")
    assert made is not None
    return made


def test_the_topic_goes_and_the_manner_stays(mask):
    said = "I've never had the gearbox's oil, but \u201cthey\u201d grease 3.5 pumps; don't they?"
    assert mask(said) == "I've never had the x's x, but \"they\" x 0 x; don't they?"


def test_the_same_sentence_about_two_things_is_the_same(mask):
    boat = "The skipper who moors his sloop in Bergen is rarely late."
    bread = "The baker who kneads his dough in Lyon is rarely late."
    assert mask(boat) == mask(bread)


def test_formats_are_no_manner(mask):
    plain = "You should read the manual before it."
    marked = "## You should _read_ the **manual** before [it](https://example.org/it)."
    assert mask(marked) == mask(plain)
    assert mask("- You should call `twin.run(3)` at https://a.org/b?c=d now.") == (
        "You should call x at x now."
    )


def test_a_sentence_is_a_line_however_it_begins(mask):
    assert mask("One  of\tthem. Pumps fail.\n\n* and   another") == (
        "One of them.\nx x.\nand another"
    )


@pytest.mark.parametrize(
    ("language", "said", "masked"),
    [
        ("de", "Ich habe den Motor nicht gesehen.", "Ich habe den x nicht x."),
        ("fr", "Il n'est pas dans la voiture.", "Il n'est pas dans la x."),
        ("ru", "Я не был на корабле.", "Я не был на x."),
    ],
)
def test_other_languages(language, said, masked):
    made = mask_of(language)
    assert made is not None
    assert made(said) == masked


def test_words_are_found_where_no_blanks_are():
    made = mask_of("zh")
    assert made is not None
    masked = made("我们在船上\uff0c但是他们不在\u3002")
    assert "我们" in masked
    assert "船" not in masked


def test_a_language_without_a_list_has_no_mask():
    assert mask_of("tlh") is None


def test_pieces_are_whole_sentences_of_enough_words(mask):
    text = mask("One two three four. " * 10)
    made = pieces([text], words=12)
    assert [length(piece) for piece in made] == [12, 12, 16]
    assert all(piece.endswith(".") for piece in made)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=60), max_size=6), st.integers(1, 30))
def test_pieces_lose_nothing(mask, texts, words):
    masked = [mask(text) for text in texts]
    made = pieces(masked, words)
    assert "\n".join(made) == "\n".join(filter(None, masked))
    assert all(length(piece) >= words for piece in made[: max(len(made) - 1, 0)])
