"""Sentences of any script (UAX 29, by ICU)."""

from icu4py.breakers import SentenceBreaker


def sentences(text: str, language: str = "en") -> list[str]:
    """The sentences of a text in order, without the blanks around them.

    A line break ends one too: a row of a table, a line of code and a list's item stand alone.

    Args:
        text: prose, Markdown, code.
        language: ISO 639-1; what it decides is little (abbreviations, Greek question marks).
    """
    lines = (line for line in text.splitlines() if line.strip())
    pieces = (str(piece).strip() for line in lines for piece in SentenceBreaker(line, language))
    return [piece for piece in pieces if piece]
