"""Sentences that speak against each other, found by rules.

Two sentences that are nearly the same, but where the one has a number where the other has another
one, or a negation where the other has none. What says the same in other words is not found, nor is
a word with its opposite ("always", "rarely"), nor what only follows from both; numbers are compared
as they stand, so that "90 s" and "1.5 minutes" differ if the rest is the same. Negations are known
in the languages of `NEGATIONS`; numbers in any.
"""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Protocol

from twin.domain.draft import Difference

ALIKE = 0.72
"""Share of two sentences' words that stand in both in the same order, from which they count as
nearly the same: one word in four may differ. A choice, not a measurement; `make
bench-contradictions` shows what other shares find, and how often they err."""

FEWEST_WORDS = 5
"""Words below which sentences are the same by chance ("It takes 3 s.")."""

NEGATIONS = frozenset(
    (
        *("not", "no", "never", "neither", "nor", "none", "nobody", "nothing", "without", "cannot"),
        *("nicht", "kein", "keine", "keinen", "keiner", "keinem", "nie", "niemals", "ohne"),
        *("ne", "pas", "jamais", "sans", "aucun", "aucune"),
        *("nunca", "jamás", "sin", "ningún", "ninguna"),
        *("non", "mai", "senza", "nessun", "nessuna"),
        *("não", "sem", "nenhum", "nenhuma"),
        *("niet", "geen", "nooit", "zonder"),
    )
)

_WORD = re.compile(r"\d+(?:[.,:]\d+)*|\w+(?:['\u2019]\w+)*")
_NUMBER = re.compile(r"\d")
#: Rows of tables and headings: a list of steps or versions is no contradiction.
_NO_PROSE = re.compile(r"\s*[|#]")


class Conflicts(Protocol):
    """Tells whether sentences speak against each other."""

    def between(self, pairs: Sequence[tuple[str, str]]) -> list[Difference | None]:
        """In what each pair's two sentences differ; None where they do not contradict."""


class RuleConflicts:
    """Conflicts by rules; needs no model."""

    def between(self, pairs: Sequence[tuple[str, str]]) -> list[Difference | None]:
        """See `Conflicts.between`."""
        return [difference(*pair) for pair in pairs]


def difference(sentence: str, other: str, alike: float = ALIKE) -> Difference | None:
    """In what two sentences differ that are nearly the same.

    Args:
        sentence: one of them.
        other: the other one; which is which makes no difference.
        alike: share of words from which they are nearly the same.
    """
    if _NO_PROSE.match(sentence) or _NO_PROSE.match(other):
        return None
    # Sorted, since a matcher may align two texts otherwise than the same two swapped.
    first, second = sorted((_words(sentence), _words(other)))
    if min(len(first), len(second)) < FEWEST_WORDS:
        return None
    matcher = SequenceMatcher(None, first, second, autojunk=False)
    # The quick ratios are upper bounds, and tell nearly all sentences apart.
    if min(matcher.real_quick_ratio(), matcher.quick_ratio()) < alike or matcher.ratio() < alike:
        return None
    parts = [
        (first[begin:end], second[start:stop])
        for tag, begin, end, start, stop in matcher.get_opcodes()
        if tag != "equal"
    ]
    if any(_differ_in_numbers(*part) for part in parts):
        return "number"
    ours, theirs = ([word for part in parts for word in part[side]] for side in (0, 1))
    return "negation" if any(map(_is_negation, ours)) != any(map(_is_negation, theirs)) else None


def _differ_in_numbers(first: Sequence[str], second: Sequence[str]) -> bool:
    ours = {word for word in first if _NUMBER.match(word)}
    theirs = {word for word in second if _NUMBER.match(word)}
    return bool(ours) and bool(theirs) and ours.isdisjoint(theirs)


def _is_negation(word: str) -> bool:
    return word in NEGATIONS or word.endswith(("n't", "n\u2019t"))


def _words(sentence: str) -> list[str]:
    words = _WORD.findall(sentence.casefold())
    return [word.replace(",", "") if _NUMBER.match(word) else word for word in words]
