"""Raised and lowered text in characters: as they are, "10" and a raised "2" would be a number."""

import re

_RAISABLE = re.compile(r"\s*[0-9+\u2212-]+\s*")
_RAISED = str.maketrans("0123456789+-\u2212", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_LOWERED = str.maketrans("0123456789+-\u2212", "₀₁₂₃₄₅₆₇₈₉₊₋₋")
# 1st, 2nd, 3rd, 4th; 1er, 2e, nº, Mme; marks of names.
_ORDINAL = re.compile(
    r"st|nd|rd|th|er|re|e|ère|ème|nde|os|as|o|a|º|ª|me|lle|gr|tm|sm|mc|md|r|c|®|™|©|℠",
    re.IGNORECASE,
)
_MAX_LENGTH = 24
_MARK = re.compile(r"[*†‡§¶#\[(]")


def raised(text: str) -> str | None:
    """A raised number; None if the text is no number."""
    return text.strip().translate(_RAISED) if _RAISABLE.fullmatch(text) else None


def superscript(text: str, before: str) -> str:
    """Raised text as it is written behind ``before``: ``²``, ``^n``, ``^{n+1}``; an ordinal's
    letters, a mark of a note and text of its own stay as they are."""
    if (number := raised(text)) is not None:
        return number
    bare = " ".join(text.split())
    after_letter = before[-1:].isalpha()
    ordinal = _ORDINAL.fullmatch(bare) and (
        before[-1:].isdigit() or len(bare) > 1 or bare in "®™©℠"
    )
    if ordinal or (_ORDINAL.fullmatch(bare) and after_letter and len(_word_at_end(before)) > 1):
        return bare
    return _scripted("^", bare, before)


def subscript(text: str, before: str) -> str:
    """Lowered text as it is written behind ``before``: ``₂``, ``_i``, ``_{max}``."""
    if _RAISABLE.fullmatch(text):
        return text.strip().translate(_LOWERED)
    return _scripted("_", " ".join(text.split()), before)


def _scripted(sign: str, text: str, before: str) -> str:
    attached = bool(before) and (before[-1].isalnum() or before[-1] in ")]}|′'₀₁₂₃₄₅₆₇₈₉")
    if not text or not attached or len(text) > _MAX_LENGTH or _MARK.match(text):
        return text
    return f"{sign}{text}" if len(text) == 1 else f"{sign}{{{text}}}"


def _word_at_end(text: str) -> str:
    match = re.search(r"\w+$", text[-40:])
    return match[0] if match else ""
