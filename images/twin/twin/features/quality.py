"""Signals of how much of a passage is language, and the thresholds that a recipe may set."""

import re

from twin.domain.chunk import Quality
from twin.recipes import QualitySection
from twin.text.words import spaced, words

_LETTER = re.compile(r"[^\W\d_]")
_SYMBOL = re.compile(r"[\W_]")


def quality_of(text: str) -> Quality:
    """The signals of one passage (those of MassiveText and FineWeb that hold in any script)."""
    runs = spaced(text).split()
    characters = "".join(runs)
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    symbols = len(_SYMBOL.findall(characters))
    return Quality(
        words=len(words(text)),
        symbol_share=_share(symbols, len(characters)),
        worded_share=_share(sum(bool(_LETTER.search(run)) for run in runs), len(runs)),
        repeated_share=_share(len(lines) - len(set(lines)), len(lines)),
    )


def reason_to_leave_out(quality: Quality, limits: QualitySection) -> str | None:
    """Which threshold of the recipe a passage fails, if any."""
    faults = {
        "fewer words than quality.min_words": quality.words < limits.min_words,
        "more symbols than quality.max_symbol_share": (
            quality.symbol_share > limits.max_symbol_share
        ),
        "fewer runs with letters than quality.min_worded_share": (
            quality.worded_share < limits.min_worded_share
        ),
        "more repeated lines than quality.max_repeated_share": (
            quality.repeated_share > limits.max_repeated_share
        ),
    }
    return next((reason for reason, fails in faults.items() if fails), None)


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
