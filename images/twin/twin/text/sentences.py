"""Sentences of any script (UAX 29, by ICU)."""

from collections.abc import Iterator

from icu4py.breakers import SentenceBreaker


def sentences(text: str, language: str = "en") -> list[str]:
    """The sentences of a text in order, without the blanks around them.

    A line break ends one too: a row of a table, a line of code and a list's item stand alone.

    Args:
        text: prose, Markdown, code.
        language: ISO 639-1; what it decides is little (abbreviations, Greek question marks).
    """
    return [text[start:end] for start, end in sentence_spans(text, language)]


def sentence_spans(text: str, language: str = "en") -> list[tuple[int, int]]:
    """Where each of the `sentences` of a text begins and ends, in characters."""
    return list(_spans(text, language))


def _spans(text: str, language: str) -> Iterator[tuple[int, int]]:
    place = 0
    for line in text.splitlines(keepends=True):
        start = place
        place += len(line)
        if not line.strip():
            continue
        for piece in map(str, SentenceBreaker(line, language)):
            said = piece.strip()
            if said:
                begin = start + len(piece) - len(piece.lstrip())
                yield begin, begin + len(said)
            start += len(piece)
