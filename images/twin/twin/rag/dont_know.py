"""Calibrating the cosine below which the answer is "I have not written about that".

The best passage's cosine separates questions that the texts answer from those that they don't,
though not wholly. The threshold is the largest that turns away no more than a given share of the
questions that could have been answered.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from twin.domain.errors import BadDataError

FALSE_REFUSALS = 0.02
"""Share of answerable questions that may be turned away."""


KINDS = ("answered", "unanswered")


def read_questions(path: Path) -> dict[str, list[str]]:
    """Questions by kind. Under each of `KINDS` stands a list, or a mapping from questions to
    anything, perhaps grouped in a mapping once more.

    Raises:
        BadDataError: no such file, or it holds none of a kind.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadDataError(f"{path} can't be read: {' '.join(str(error).split())}") from None
    found = {
        kind: list(_questions(data.get(kind) if isinstance(data, dict) else None)) for kind in KINDS
    }
    if missing := [kind for kind in KINDS if not found[kind]]:
        raise BadDataError(f"{path} has no questions under {missing[0]!r}: it needs both kinds")
    return found


def _questions(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        for key, value in data.items():
            if isinstance(value, dict | list):
                yield from _questions(value)
            else:
                yield str(key)
    elif isinstance(data, list):
        yield from map(str, data)


@dataclass(frozen=True)
class Point:
    """What a threshold does.

    ``refused`` is the share of unanswerable questions turned away, ``wrongly`` that of
    answerable ones.
    """

    threshold: float
    refused: float
    wrongly: float


def curve(answerable: Sequence[float], unanswerable: Sequence[float]) -> list[Point]:
    """One point for each threshold at which something changes, from none refused to all.

    Args:
        answerable: cosine of the best passage of each question that has an answer.
        unanswerable: the same of those without.

    Raises:
        BadDataError: one of the two is empty.
    """
    if not answerable or not unanswerable:
        raise BadDataError("a threshold needs questions with an answer and questions without")
    every = sorted({0.0, *answerable, *unanswerable})
    thresholds = [*every, math.nextafter(every[-1], math.inf)]
    return [
        Point(each, _below(each, unanswerable), _below(each, answerable)) for each in thresholds
    ]


def calibrate(points: Sequence[Point], false_refusals: float = FALSE_REFUSALS) -> Point:
    """The point that turns away the most without passing ``false_refusals``.

    Of thresholds that do the same, the lowest: it is the one least sure to refuse.
    """
    allowed = [point for point in points if point.wrongly <= false_refusals]
    return max(allowed, key=lambda point: (point.refused, -point.wrongly, -point.threshold))


def separation(answerable: Sequence[float], unanswerable: Sequence[float]) -> float:
    """Chance that an answerable question has the higher cosine (area under the ROC curve)."""
    pairs = len(answerable) * len(unanswerable)
    wins = sum((a > b) + 0.5 * (a == b) for a in answerable for b in unanswerable)
    return wins / pairs


def _below(threshold: float, values: Sequence[float]) -> float:
    return sum(value < threshold for value in values) / len(values)
