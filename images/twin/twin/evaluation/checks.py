"""One check of the gate: what was measured, what is asked, and what follows if that is not met."""

from collections.abc import Callable
from enum import StrEnum
from math import inf, isfinite, isnan

from pydantic import BaseModel, ConfigDict

from twin.evaluation.resampling import Estimate


class Verdict(StrEnum):
    """What the gate says of a candidate."""

    PROMOTE = "promote"
    HOLD = "hold"
    REJECT = "reject"


class Check(BaseModel):
    """One check: what was measured, what was asked for, and whether that was met.

    ``otherwise`` is the verdict if it was not.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    name: str
    passed: bool
    otherwise: Verdict
    measured: float
    low: float | None = None
    high: float | None = None
    threshold: float
    text: str


def hard_limit(
    name: str,
    measured: Estimate | float,
    said: str,
    *,
    most: float = inf,
    least: float = -inf,
) -> Check:
    """A share that must keep to a limit whatever else is shown, read at its value.

    A measured value beyond it is rejected; what is no number holds the candidate, for it shows
    nothing.

    Args:
        name: of the check.
        measured: the figure.
        said: what was measured, in words.
        most: that it may be.
        least: that it must be.
    """
    sure = measured if isinstance(measured, Estimate) else None
    value = measured.value if isinstance(measured, Estimate) else measured
    passed = least <= value <= most
    allowed = f"at most {percent(most)} allowed"
    asked = allowed if isfinite(most) else f"at least {percent(least)} asked"
    return Check(
        name=name,
        passed=passed,
        otherwise=Verdict.HOLD if isnan(value) else Verdict.REJECT,
        measured=value,
        low=sure.low if sure else None,
        high=sure.high if sure else None,
        threshold=most if isfinite(most) else least,
        text=f"{said}, {asked}: {word(passed)}",
    )


def worse_end(
    name: str, change: Estimate, limit: float, said: str, show: Callable[[float], str]
) -> Check:
    """A comparison whose worse end must keep to a limit; where even the better end does not, the
    candidate is measurably short of it and rejected. In between it is held.

    Args:
        name: of the check.
        change: higher is better.
        limit: that the worse end must reach.
        said: what was measured, in words.
        show: writes a value of this measure.
    """
    passed = change.low >= limit
    lost = change.high < limit
    asked = f"the worse end must be at least {show(limit)}"
    return _compared(name, change, limit, f"{said}; {asked}", passed=passed, lost=lost)


def better_end(
    name: str, change: Estimate, limit: float, said: str, show: Callable[[float], str]
) -> Check:
    """A comparison that fails only where the whole interval lies beyond a limit, and then rejects.

    What is no number holds the candidate by another check. Arguments as of `worse_end`.
    """
    lost = change.high < limit
    asked = f"the better end must be at least {show(limit)}"
    return _compared(name, change, limit, f"{said}; {asked}", passed=not lost, lost=True)


def _compared(
    name: str, change: Estimate, limit: float, said: str, *, passed: bool, lost: bool
) -> Check:
    return Check(
        name=name,
        passed=passed,
        otherwise=Verdict.REJECT if lost else Verdict.HOLD,
        measured=change.value,
        low=change.low,
        high=change.high,
        threshold=limit,
        text=f"{said}: {word(passed)}",
    )


def interval(estimate: Estimate, show: Callable[[float], str]) -> str:
    """The ends of an interval, in words."""
    if not (isfinite(estimate.low) and isfinite(estimate.high)):
        return "no interval"
    return f"{estimate.confidence * 100:g}% interval {show(estimate.low)} to {show(estimate.high)}"


def percent(share: float) -> str:
    """A share of a whole, or a relative change."""
    return f"{share:.1%}" if abs(share) < 10 else f"{share * 100:.3g}%"


def signed(difference: float) -> str:
    """A difference of two figures."""
    return f"{difference:+.3f}"


def word(passed: bool) -> str:
    """How a check ends."""
    return "passed" if passed else "FAILED"
