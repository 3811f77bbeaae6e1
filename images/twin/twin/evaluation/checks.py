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


def interval(estimate: Estimate, show: Callable[[float], str]) -> str:
    """The ends of an interval, in words."""
    if not (isfinite(estimate.low) and isfinite(estimate.high)):
        return "no interval"
    return f"{estimate.confidence * 100:g}% interval {show(estimate.low)} to {show(estimate.high)}"


def percent(share: float) -> str:
    """A share of a whole, or a relative change."""
    return f"{share:.1%}" if abs(share) < 10 else f"{share * 100:.3g}%"


def word(passed: bool) -> str:
    """How a check ends."""
    return "passed" if passed else "FAILED"
