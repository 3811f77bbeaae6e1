"""The score of the public article extraction benchmark: overlap of 4-token shingles.

Precision and recall are counted page by page and averaged over pages; F1 is that of the averages.
"""

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

SHINGLE = 4
_TOKEN = re.compile(r"\w+")


@dataclass(frozen=True)
class Overlap:
    """How much of what was found is right, and how much of what is right was found; 0 to 1."""

    precision: float
    recall: float


@dataclass(frozen=True)
class Score:
    """Averages over pages, and the standard error of F1 by bootstrap."""

    precision: float
    recall: float
    f1: float
    error: float


def shingles(text: str, size: int = SHINGLE) -> Counter[tuple[str, ...]]:
    """Runs of ``size`` tokens with their counts; a shorter text is one shingle."""
    tokens = _TOKEN.findall(text)
    starts = range(max(1, len(tokens) - size + 1))
    return Counter(shingle for start in starts if (shingle := tuple(tokens[start : start + size])))


def overlap(right: str, found: str) -> Overlap:
    """Precision and recall of one page; both are 1 where both texts are empty."""
    expected, got = shingles(right), shingles(found)
    if not expected and not got:
        return Overlap(1.0, 1.0)
    common = (expected & got).total()
    return Overlap(
        precision=common / got.total() if got else 0.0,
        recall=common / expected.total() if expected else 0.0,
    )


def score(pages: Sequence[Overlap], *, resamples: int = 1_000, seed: int = 7) -> Score:
    """Averages over ``pages``, of which there must be at least one."""
    draw = random.Random(seed)
    resampled = [_f1(draw.choices(pages, k=len(pages))) for _ in range(resamples)]
    return Score(
        precision=fmean(page.precision for page in pages),
        recall=fmean(page.recall for page in pages),
        f1=_f1(pages),
        error=stdev(resampled),
    )


def _f1(pages: Sequence[Overlap]) -> float:
    precision = fmean(page.precision for page in pages)
    recall = fmean(page.recall for page in pages)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
