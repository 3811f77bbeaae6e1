"""How like two texts are, by their words in their order, whatever case and punctuation."""

import re
from difflib import SequenceMatcher


def likeness(one: str, other: str) -> float:
    """Share of both texts' words that stand in both in the same order (Ratcliff and Obershelp)."""
    return round(
        SequenceMatcher(None, plain_words(one), plain_words(other), autojunk=False).ratio(), 4
    )


def is_same_but_for_ending(one: str, other: str, *, is_cut: bool = False) -> bool:
    """Whether one text is the other's beginning.

    The shorter one stops early, or the longer one goes on with debris.

    Args:
        one: a text.
        other: another one.
        is_cut: whether a budget of tokens ended the other one, which may be within a word.
    """
    first, second = plain_words(one), plain_words(other)
    if is_cut and "".join(first).startswith("".join(second)):
        return True
    shorter = min(len(first), len(second))
    return first[:shorter] == second[:shorter]


def plain_words(text: str) -> list[str]:
    """The words of a text in lower case, in their order."""
    return re.findall(r"\w+", text.casefold())
