"""Raised digits as characters: as they are, "10" and a raised "2" would be one number."""

import re

_RAISABLE = re.compile(r"\s*[0-9+\u2212-]+\s*")
_RAISED = str.maketrans("0123456789+-\u2212", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")


def raised(text: str) -> str | None:
    """A raised number; None if the text is no number."""
    return text.strip().translate(_RAISED) if _RAISABLE.fullmatch(text) else None
