"""A comparison that may be looked at after every verdict: betting on a bounded mean.

People judge pairs one after another, and whoever watches stops when the figures please. An interval
for a fixed number of pairs does not survive that; this one does. For each possible mean a gambler
bets against it at fair odds, group by group; had the mean been true, the wealth would have grown
twentyfold with a chance of one in twenty at most, at whatever moment one looks (Ville's
inequality). The means against which it has not grown so far are the interval. The wealth is an
e-process: evidence that may be added to for as long as one likes.

The unit is the document group, and its value the mean of its pairs, since pairs of one document
hang together: a group counts once it is judged whole, and is bet on once. What is assumed is that
groups come from the author's documents by chance, in an order that has nothing to do with verdicts.

Bets are spread over fixed fractions of the wealth, upwards and downwards ("hedged grid Kelly"), so
nothing need be guessed of the spread, and the interval does not depend on the order of groups but
by when they came.

No library: `confseq`, by the authors of the method, is a C++ extension that is published as source
alone and wants a compiler; what is needed of it is the two products below.

Source: I. Waudby-Smith, A. Ramdas, "Estimating means of bounded random variables by betting",
JRSS B 86(1), 2024 (arXiv:2010.09686), sections 4 and B.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.95
EVEN = 0.5
STEP = 0.005
"""Between the means that are tried; the ends of an interval are moved outwards by so much."""
BETS = 20
"""Fractions of the wealth, either way: ten times as many change the ends by a step at most."""

#: What a gambler has beyond this is given away, so that nothing overflows.
_RICH = 1e100


class Running(BaseModel):
    """What groups up to now show of a mean that lies between 0 and 1.

    Attributes:
        groups: that have been counted.
        value: mean of their values.
        low: lower end of the interval that holds at any moment.
        high: its upper end.
        evidence: wealth against an even mean (1/2), the most that it has been.
        confidence: how often such an interval holds the truth at all moments.
    """

    model_config = ConfigDict(frozen=True)

    groups: int
    value: float
    low: float
    high: float
    evidence: float
    confidence: float = CONFIDENCE

    @property
    def is_decided(self) -> bool:
        """Whether the mean is told from an even one."""
        return self.low > EVEN or self.high < EVEN


def running(values: Sequence[float], confidence: float = CONFIDENCE) -> Running:
    """The mean of the values, with an interval that holds at every moment up to the last of them.

    Args:
        values: of the groups, each between 0 and 1, in the order in which they were completed.
        confidence: of the interval.

    Raises:
        ValueError: a value is none of that.
    """
    import numpy as np

    seen = np.asarray(values, dtype=np.float64)
    if not np.all((seen >= 0) & (seen <= 1)):  # a NaN is neither
        raise ValueError("values must lie between 0 and 1")
    means = np.linspace(0.0, 1.0, round(1 / STEP) + 1)
    most = _most_wealth(seen, means)
    kept = means[most < 1 / (1 - confidence)]
    middle = float(seen.mean()) if len(seen) else EVEN
    # No mean is left where groups contradict one another more than chance explains.
    low, high = (kept[0], kept[-1]) if len(kept) else (middle, middle)
    return Running(
        groups=len(seen),
        value=middle,
        low=max(float(low) - STEP, 0.0),
        high=min(float(high) + STEP, 1.0),
        evidence=float(most[len(means) // 2]),
        confidence=confidence,
    )


def _most_wealth(
    values: "NDArray[np.float64]", means: "NDArray[np.float64]"
) -> "NDArray[np.float64]":
    """The most that the wealth against each mean has been.

    Wealth falls with the mean where bets go upwards, and rises where they go downwards, both
    convexly: so the means that are left make an interval.
    """
    import numpy as np

    shares = np.arange(1, BETS + 1)[:, None] / (BETS + 1)
    inside = np.clip(means, STEP / 10, 1 - STEP / 10)
    upwards, downwards = (np.ones((BETS, len(means))) for _ in range(2))
    most = np.ones(len(means))
    for value in values:
        upwards *= 1 + shares * (value / inside - 1)
        downwards *= 1 + shares * ((1 - value) / (1 - inside) - 1)
        most = np.maximum(most, (upwards.mean(axis=0) + downwards.mean(axis=0)) / 2)
        for wealth in (upwards, downwards):
            np.minimum(wealth, _RICH, out=wealth)
    return most
