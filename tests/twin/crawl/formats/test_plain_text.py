"""Plain text: a title where there is one, the text as it is."""

import pytest

from tests.twin.crawl.formats.pages import page, words
from twin.crawl.formats.plain_text import first_words, read_plain_text
from twin.crawl.page import UnusableError


@pytest.mark.parametrize(
    ("head", "title", "taken"),
    [
        ("On Tides\n\n", "On Tides", True),
        ("On Tides\n========\n", "On Tides", True),
        ("========\nOn Tides\n========\n\n", "On Tides", True),
        ("\n\n  On Tides  \n\n", "On Tides", True),
        ("A sentence ends here.\n\n", "old notes", False),
        ("One line of text\nand another\n", "old notes", False),
        (f"{'word ' * 40}end\n\n", "old notes", False),
    ],
)
def test_the_title(head: str, title: str, taken: bool) -> None:
    article = read_plain_text(page("old_notes.txt", head + words()))
    assert article.title == title
    assert article.content == (f"{words()}\n" if taken else f"{(head + words()).strip()}\n")


def test_lines_and_indentation_stay() -> None:
    text = "Verse\n\nRoses are red,\n   violets are blue\n\n\nEnd of it."
    content = read_plain_text(page("x.txt", text)).content
    assert content == "Roses are red,\n   violets are blue\n\n\nEnd of it.\n"


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(UnusableError, match="invalid utf-8 at byte 3"):
        read_plain_text(page("x.txt", b"caf\xe9 au lait"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n\nShort line\nmore", "Short line"),
        ("# Heading", "Heading"),
        (
            words(),
            "The tide comes in twice a day and nobody at the harbour is ever surprised by\u2026",
        ),
        ("x" * 200, "x" * 80 + "\u2026"),
    ],
)
def test_first_words(text: str, expected: str) -> None:
    assert first_words(text) == expected
