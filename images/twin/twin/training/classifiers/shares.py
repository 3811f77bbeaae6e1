"""Shares with 95 % intervals, and differences of two, by groups of texts that hang together."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from numpy.typing import NDArray

TAIL = 0.975


class Share(BaseModel):
    """A share of texts and where it may be, 95 times of 100."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float
    texts: int = Field(description="that it is a share of")
    groups: int = Field(description="of texts that hang together")

    def __str__(self) -> str:
        """As it is printed."""
        return f"{self.value:.1%} ({self.low:.1%} to {self.high:.1%})"


class Difference(BaseModel):
    """How much larger a share is than another one of the same texts; ``low`` to ``high``: 95 %."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float

    @property
    def is_proved(self) -> bool:
        """Whether it is above zero beyond chance."""
        return self.low > 0


def share_of(hits: Sequence[bool], groups: Sequence[str]) -> Share | None:
    """The share of hits among texts; None of no text.

    The interval is Korn and Graubard's ("Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data", Survey Methodology 24, 1998): Clopper and
    Pearson's for as many independent texts as tell as much as these do. With no hit, with hits only
    and in one group there is no spread between groups to tell that by: a group then counts as one
    text, the least that it can tell.
    """
    from scipy.stats import beta, t

    texts, held = len(hits), len(set(groups))
    if not texts:
        return None
    count = sum(hits)
    value, effective = count / texts, float(held)
    if 0 < count < texts and held > 1:
        error = _standard_error([float(hit) - value for hit in hits], groups)
        drawn = value * (1 - value) / error**2 if error else float(texts)
        factor = (t.ppf(TAIL, texts - 1) / t.ppf(TAIL, held - 1)) ** 2
        effective = min(float(texts), float(drawn * factor))
    positive, rest = value * effective, (1 - value) * effective
    low = float(beta.ppf(1 - TAIL, positive, rest + 1)) if count else 0.0
    high = float(beta.ppf(TAIL, positive + 1, rest)) if count < texts else 1.0
    return Share(value=value, low=low, high=high, texts=texts, groups=held)


def difference_of(
    hits: Sequence[bool], others: Sequence[bool], groups: Sequence[str]
) -> Difference | None:
    """How much oftener ``hits`` are than ``others``, text by text; None with fewer than two groups.

    By the spread between groups, with Student's t.
    """
    from scipy.stats import t

    held = len(set(groups))
    if held < 2:
        return None
    gains = [float(hit) - float(other) for hit, other in zip(hits, others, strict=True)]
    value = sum(gains) / len(gains)
    reach = t.ppf(TAIL, held - 1) * _standard_error([gain - value for gain in gains], groups)
    return Difference(value=value, low=float(value - reach), high=float(value + reach))


def _standard_error(deviations: Sequence[float], groups: Sequence[str]) -> float:
    """Of a mean, by the sums of the groups' deviations from it (linearisation)."""
    import numpy as np

    names = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    sums: NDArray[np.float64] = np.zeros(len(names))
    np.add.at(sums, [names[group] for group in groups], deviations)
    scale = len(names) / (len(names) - 1)
    return float(np.sqrt(scale * (sums**2).sum()) / len(deviations))
