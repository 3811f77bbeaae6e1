"""Shares and means of callers, each with an interval that holds whenever one looks."""

import hashlib
from collections.abc import Iterable

from twin.domain.monitoring import Baseline, Measure, Standing
from twin.domain.sequential import Running, running

Judged = tuple[str, float]
"""Who, and a value between 0 and 1."""


def mean_of_units(judged: Iterable[Judged]) -> Running:
    """Mean of the units' own means: one unit counts once, however much it says.

    Units are taken in an order that has nothing to do with when they came or what they say, by
    their names' digests: what has changed within the window must not look like two truths.
    """
    of_unit: dict[str, list[float]] = {}
    for unit, value in judged:
        of_unit.setdefault(hashlib.sha256(unit.encode()).hexdigest(), []).append(value)
    return running([sum(values) / len(values) for _, values in sorted(of_unit.items())])


def unknown(name: str, why: str) -> Measure:
    """A measure that could not be taken."""
    return Measure(name=name, standing=Standing.UNKNOWN, says=why)


def at_most(name: str, found: Running, limit: float, what: str) -> Measure:
    """Bad where the whole interval is above a limit.

    Args:
        name: of the measure.
        found: the share.
        limit: that it may reach.
        what: the share is of, for people: "answers that came late".
    """
    if not found.groups:
        return unknown(name, f"{what}: nobody has asked")
    standing = Standing.BAD if found.low > limit else Standing.GOOD
    return _measured(name, found, standing, limit, f"{what}: {_said(found)}, limit {limit:.0%}")


def at_least(name: str, found: Running, limit: float, fewest: int, what: str) -> Measure:
    """Bad where the whole interval is below a limit; unknown with fewer units than ``fewest``."""
    if found.groups < fewest:
        return unknown(name, f"{what}: {found.groups} callers, {fewest} are needed")
    standing = Standing.BAD if found.high < limit else Standing.GOOD
    return _measured(name, found, standing, limit, f"{what}: {_said(found)}, at least {limit:.0%}")


def near_baseline(
    name: str, found: Running, baseline: Baseline | None, margin: float, what: str
) -> Measure:
    """Bad where the whole interval is above the baseline's by more than a margin.

    Without a baseline it is good if there is a figure: that becomes the baseline.
    """
    if not found.groups:
        return unknown(name, f"{what}: nobody has asked")
    if baseline is None:
        return _measured(name, found, Standing.GOOD, None, f"{what}: {_said(found)}")
    standing = Standing.BAD if found.low > baseline.high + margin else Standing.GOOD
    says = f"{what}: {_said(found)}, {baseline.value:.0%} at first"
    return _measured(name, found, standing, baseline.value, says)


def _measured(
    name: str, found: Running, standing: Standing, reference: float | None, says: str
) -> Measure:
    return Measure(
        name=name,
        standing=standing,
        value=found.value,
        low=found.low,
        high=found.high,
        reference=reference,
        count=found.groups,
        says=says,
    )


def _said(found: Running) -> str:
    return f"{found.value:.0%} ({found.low:.0%} to {found.high:.0%}) of {found.groups}"
