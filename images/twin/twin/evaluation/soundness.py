"""Plain checks that need no statistics: is there an answer, and is it free of debris?"""

from collections.abc import Sequence
from dataclasses import dataclass

from twin.models.formats.families import KNOWN_MARKS

MIN_COPIES = 3
MIN_LOOP_CHARACTERS = 60


@dataclass(frozen=True)
class Soundness:
    """How many of ``answers`` are empty, show special tokens, or end in a loop."""

    answers: int
    empty: int
    leaking: int
    looping: int


def examine(answers: Sequence[str], references: Sequence[str]) -> Soundness:
    """Count what is wrong; a special token that the author's passage shows too is a quotation."""
    pairs = list(zip(answers, references, strict=True))
    return Soundness(
        answers=len(pairs),
        empty=sum(not answer.strip() for answer, _ in pairs),
        leaking=sum(bool(leaked_tokens(*pair)) for pair in pairs),
        looping=sum(loops(answer) for answer, _ in pairs),
    )


def leaked_tokens(answer: str, reference: str = "") -> set[str]:
    """Special tokens in the answer that the reference does not have."""
    return set(KNOWN_MARKS.findall(answer)) - set(KNOWN_MARKS.findall(reference))


def loops(text: str) -> bool:
    """Whether the text ends in at least three copies of one piece, 60 characters or more in all.

    The last copy may be cut off, as it is when the token budget ends an endless answer. Works on
    characters, so on scripts without spaces too.
    """
    text = " ".join(text.split())
    for period in range(1, len(text) // MIN_COPIES + 1):
        length = _periodic_tail(text, period)
        if length >= max(MIN_COPIES * period, MIN_LOOP_CHARACTERS):
            return True
    return False


def _periodic_tail(text: str, period: int) -> int:
    """Length of the longest end of ``text`` that repeats with this period."""
    start = len(text) - period
    while start > 0 and text[start - 1] == text[start - 1 + period]:
        start -= 1
    return len(text) - start
