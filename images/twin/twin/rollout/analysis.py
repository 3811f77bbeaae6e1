"""Is the new version worse than the running one? A metric at a time, looked at at any time.

Answers are paired: of mirrored questions the two answers to one question, else the first, second, …
conversation of either version. A pair's value says which of the two is worse, and a confidence
sequence (`twin.domain.sequential`) holds for the mean at every moment, so that a rollout may stop
at the first look that is clear. A conversation counts once, by its first answer: what one caller
asks hangs together.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from twin.domain.observation import Observation, Verdict
from twin.domain.sequential import EVEN, Running, running
from twin.recipes.rollout import AnalysisSection, Metric

Outcome = Literal["passed", "failed", "undecided"]
Item = TypeVar("Item", Observation, Verdict)


@dataclass(frozen=True)
class Measured:
    """A metric as far as it is known.

    Attributes:
        difference: how much larger the new version's share of worse answers is, -1 to 1.
        low: lower end of its interval.
        high: upper end.
        pairs: that it comes from.
    """

    section: AnalysisSection
    outcome: Outcome
    difference: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        """In one line, for people."""
        return (
            f"{self.section.metric}: {self.outcome}, {self.difference:+.2f} "
            f"({self.low:+.2f} to {self.high:+.2f}) over {self.pairs} pairs"
        )


def measured(
    section: AnalysisSection,
    observations: Sequence[Observation],
    verdicts: Sequence[Verdict],
    new: str,
    old: str | None,
) -> Measured:
    """A metric of version ``new`` against version ``old``; None: there was none before.

    Without an older version errors alone are judged, as if it had none.
    """
    values = _values(section, observations, verdicts, new, old)[: section.count]
    found = running(values, section.confidence)
    low, middle, high = (2 * (value - EVEN) for value in (found.low, found.value, found.high))
    return Measured(section, _outcome(section, found, low, high), middle, low, high, len(values))


def _outcome(section: AnalysisSection, found: Running, low: float, high: float) -> Outcome:
    if not found.groups:
        return "undecided"
    if low > section.fails_above:
        return "failed"
    return "passed" if high < section.passes_below else "undecided"


def _values(
    section: AnalysisSection,
    observations: Sequence[Observation],
    verdicts: Sequence[Verdict],
    new: str,
    old: str | None,
) -> list[float]:
    """Of each pair 1 where the new version is the worse one, 0 where the old one is, else 1/2."""
    if section.metric == "feedback":
        judged = [[item for item in verdicts if item.version == version] for version in (new, old)]
        mine, others = ([float(item.bad) for item in _firsts(items)] for items in judged)
        return [_share(one, other) for one, other in zip(mine, others, strict=False)]
    if old is None:
        failed = [item.failed for item in _firsts(_of(observations, new))]
        return [_share(each, 0.0) for each in failed] if section.metric == "errors" else []
    pairs = _pairs(observations, new, old)
    compared = (_compared(section, one, other) for one, other in pairs)
    return [value for value in compared if value is not None]


def _compared(section: AnalysisSection, new: Observation, old: Observation) -> float | None:
    """A pair's value; None where it says nothing of the metric."""
    if section.metric == "first_token":
        return _slower(new.first_seconds, old.first_seconds, section.factor)
    if section.metric == "speed":
        return _slower(old.tokens_per_second, new.tokens_per_second, section.factor)
    fault = FAULTS[section.metric]
    mine, others = fault(new), fault(old)
    return None if mine is None or others is None else _share(mine, others)


#: Whether an answer is worse in one way; None where the answer can't show it.
FAULTS: dict[Metric, Callable[[Observation], bool | None]] = {
    "errors": lambda item: item.failed,
    "guardrails": lambda item: None if item.failed else item.cleaned,
    "grounded": lambda item: None if item.failed or item.refused else not item.grounded,
    "refusals": lambda item: None if item.failed else item.refused,
}


def _share(new: float, old: float) -> float:
    return (1 + new - old) / 2


def _slower(more: float | None, less: float | None, factor: float) -> float | None:
    """Whether one figure is more than ``factor`` times the other."""
    if more is None or less is None:
        return None
    return 1.0 if more > factor * less else 0.0


def _pairs(
    observations: Sequence[Observation], new: str, old: str
) -> Iterable[tuple[Observation, Observation]]:
    mirrored: dict[str, dict[str, Observation]] = {}
    for item in observations:
        if item.mirrored:
            mirrored.setdefault(item.mirrored, {})[item.version] = item
    both = [item for item in mirrored.values() if new in item and old in item]
    seen: set[str] = set()
    for pair in both:
        if pair[new].unit not in seen:
            seen.add(pair[new].unit)
            yield pair[new], pair[old]
    own = [item for item in observations if not item.mirrored and item.unit not in seen]
    yield from zip(_firsts(_of(own, new)), _firsts(_of(own, old)), strict=False)


def _of(observations: Iterable[Observation], version: str) -> list[Observation]:
    return [item for item in observations if item.version == version]


def _firsts(items: Iterable[Item]) -> list[Item]:
    """The first of each unit, in order."""
    first: dict[str, Item] = {}
    for item in items:
        first.setdefault(item.unit, item)
    return list(first.values())
