"""Intervals as bars, for pages: where a value and its ends lie between two edges, in per cent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from twin.evaluation.figures_text import shown
from twin.evaluation.resampling import Estimate

Tone = Literal["good", "bad", "open", "plain"]

#: Room left and right of the outermost end, so that its mark is whole.
_MARGIN = 4.0


@dataclass(frozen=True)
class Bar:
    """One line of a forest plot; places are per cent of its width, None where there is none.

    Attributes:
        label: what is measured.
        text: the value with its interval, as people read it.
        value: its place.
        low: place of the interval's lower end.
        high: of its upper end.
        zero: of what means no difference.
        limit: of what the gate asks of the lower end.
        tone: whether the interval tells a gain, a loss, or neither.
    """

    label: str
    text: str
    value: float | None
    low: float | None
    high: float | None
    zero: float | None = None
    limit: float | None = None
    tone: Tone = "plain"


def gain_bar(
    label: str, gain: Estimate, show: Callable[[float], str], limit: float | None = None
) -> Bar:
    """A bar with no difference in its middle and a scale of its own."""
    ends = [gain.value, gain.low, gain.high, *([] if limit is None else [limit])]
    reach = max((abs(each) for each in ends if isfinite(each)), default=0.0) or 1.0
    return _bar(label, gain, show, (-reach, reach), zero=0.0, limit=limit, tone=_tone(gain, 0.0))


def rate_bar(label: str, rate: Estimate, show: Callable[[float], str]) -> Bar:
    """A bar from 0 to 1, where one half means no difference."""
    return _bar(label, rate, show, (0.0, 1.0), zero=0.5, tone=_tone(rate, 0.5))


def value_bars(values: Mapping[str, Estimate], show: Callable[[float], str]) -> list[Bar]:
    """A bar for each model, all on one scale."""
    ends = [
        end
        for each in values.values()
        for end in (each.value, each.low, each.high)
        if isfinite(end)
    ]
    edges = (min(ends), max(ends)) if ends else (0.0, 1.0)
    return [_bar(label, each, show, edges) for label, each in values.items()]


def share_bar(label: str, share: Estimate, show: Callable[[float], str]) -> Bar:
    """A bar from 0 to 1."""
    return _bar(label, share, show, (0.0, 1.0))


def _tone(estimate: Estimate, even: float) -> Tone:
    return "good" if estimate.low > even else "bad" if estimate.high < even else "open"


def _bar(
    label: str,
    estimate: Estimate,
    show: Callable[[float], str],
    edges: tuple[float, float],
    *,
    zero: float | None = None,
    limit: float | None = None,
    tone: Tone = "plain",
) -> Bar:
    def place(value: float | None) -> float | None:
        if value is None or not isfinite(value):
            return None
        share = (value - edges[0]) / (edges[1] - edges[0]) if edges[1] > edges[0] else 0.5
        return round(_MARGIN + (100 - 2 * _MARGIN) * share, 2)

    return Bar(
        label=label,
        text=shown(estimate, show),
        value=place(estimate.value),
        low=place(estimate.low),
        high=place(estimate.high),
        zero=place(zero),
        limit=place(limit),
        tone=tone,
    )
