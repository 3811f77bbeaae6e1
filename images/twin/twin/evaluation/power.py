"""What a test set can show: the smallest gain that the gate would see, and what set would do.

A gain is seen when its interval lies above zero, and when the intervals of the other measures prove
that nothing was lost beyond their tolerances. The gate misses it where one of them does not, so the
chances of missing are added up, which holds however the measures hang together. The spread between
groups is that of the paired differences that were measured.

Source: H. Bloom, "Minimum Detectable Effects: A Simple Way to Report the Statistical Power of
Experimental Designs", Evaluation Review 19(5), 1995: an effect of t(1 - alpha/2) + t(power)
standard errors is seen with that power.
"""

from bisect import bisect_left
from math import inf, isfinite, sqrt

from pydantic import BaseModel, ConfigDict

from twin.evaluation.resampling import CONFIDENCE, Estimate

POWER = 0.8
"""Chance with which an effect must be seen."""
MIN_GROUPS = 8
"""Groups below which the coverage of the intervals is not vouched for."""
MAX_GROUPS = 100_000
"""Groups beyond which a set is no advice."""


class Power(BaseModel):
    """What the set can show of the primary measure.

    Attributes:
        measure: its name.
        groups: document groups there are.
        smallest: gain that is seen with a chance of `POWER`; None: no gain would be, because a
            tolerance of another measure is too narrow for the set.
        wanted: gain that the recipe wants to be seen.
        needed: document groups that would show that; None: more than `MAX_GROUPS`.
    """

    model_config = ConfigDict(frozen=True)

    measure: str
    groups: int
    smallest: float | None
    wanted: float
    needed: int | None

    @property
    def is_enough(self) -> bool:
        """Whether the set can show what the recipe wants."""
        return self.smallest is not None and self.smallest <= self.wanted


def power_of(
    measure: str, gain: Estimate, tolerated: list[tuple[Estimate, float]], wanted: float
) -> Power:
    """What the set can show of a measure.

    Args:
        measure: its name.
        gain: in it, as it was measured between two models.
        tolerated: change in each other measure, and the loss that is tolerated.
        wanted: gain that should be seen.
    """
    groups = gain.groups
    spreads = [(each.spread, tolerance) for each, tolerance in tolerated if each.groups > 1]
    smallest = _smallest(gain.spread, spreads, groups)
    return Power(
        measure=measure,
        groups=groups,
        smallest=smallest if isfinite(smallest) else None,
        wanted=wanted,
        needed=_needed(gain.spread, spreads, wanted) if groups > 1 else None,
    )


def _smallest(spread: float, others: list[tuple[float, float]], groups: int) -> float:
    """The smallest gain that so many groups show with a chance of `POWER`."""
    from scipy.special import stdtrit

    if groups < 2 or not isfinite(spread):
        return inf
    missed = sum(_missed(each, tolerance, groups) for each, tolerance in others)
    if missed >= 1 - POWER:
        return inf
    least = _least(groups) + float(stdtrit(groups - 1, POWER + missed))
    return least * spread / sqrt(groups)


def _missed(spread: float, tolerance: float, groups: int) -> float:
    """Chance that a measure which lost nothing does not prove it."""
    from scipy.special import stdtr

    if spread == 0:
        return 0.0
    return float(stdtr(groups - 1, _least(groups) - tolerance * sqrt(groups) / spread))


def _least(groups: int) -> float:
    """Standard errors from which an effect is told from none."""
    from scipy.special import stdtrit

    return float(stdtrit(groups - 1, (1 + CONFIDENCE) / 2))


def _needed(spread: float, others: list[tuple[float, float]], wanted: float) -> int | None:
    """The smallest number of groups, at least `MIN_GROUPS`, that shows the wanted gain."""

    def shows(groups: int) -> bool:
        return _smallest(spread, others, groups) <= wanted

    if not shows(MAX_GROUPS):
        return None
    return bisect_left(range(MAX_GROUPS), True, lo=MIN_GROUPS, key=shows)
