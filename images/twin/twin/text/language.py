"""Which language a text is in, found offline by whatlang, in any of seventy languages."""

import re
from functools import cache
from typing import Any

LEAST_LETTERS = 60
"""Letters below which a passage is given its document's language, whatever it looks like."""

SURE = 0.9
"""Probability from which a passage counts as in another language than its document."""

READ_CHARACTERS = 2_000
"""Characters of a document that are looked at."""

_CODE = re.compile(r"^(```|~~~).*?(^\1|\Z)|`[^`\n]+`|https?://\S+", re.MULTILINE | re.DOTALL)
_LETTER = re.compile(r"[^\W\d_]")


def language_of(text: str) -> tuple[str | None, float]:
    """ISO 639-1 code of the text's prose and its probability; None where there is too little."""
    prose = _CODE.sub(" ", text)[:READ_CHARACTERS]
    if len(_LETTER.findall(prose)) < LEAST_LETTERS:
        return None, 0.0
    import whatlang

    try:
        found: Any = whatlang.detect(prose)  # its type stubs lack the fields
    except ValueError:  # a script that it does not know
        return None, 0.0
    return _two_letters(found.lang), float(found.confidence)


def document_language(given: str | None, text: str) -> str | None:
    """The language that the document's source gave, else the one that its text shows."""
    if given:
        return primary(given)
    code, probability = language_of(text)
    return code if probability >= SURE else None


def passage_language(text: str, of_document: str | None) -> str | None:
    """The passage's own language where it is sure, else its document's."""
    code, probability = language_of(text)
    return code if code and probability >= SURE else of_document


def primary(tag: str) -> str:
    """``en`` of ``en-US``: what filters compare."""
    return tag.replace("_", "-").split("-")[0].lower()


#: Languages that ISO 639-1 knows by the name of the family that they are the standard of.
_OF_FAMILY = {"cmn": "zh", "pes": "fa"}


@cache
def _two_letters(code: str) -> str:
    """ISO 639-1 code of an ISO 639-3 code."""
    from icu4py.locale import Locale

    return _OF_FAMILY.get(code) or Locale(code).language
