"""Intervals by the paired bootstrap: the same resampled samples for every model.

Source: P. Koehn, "Statistical Significance Tests for Machine Translation Evaluation", EMNLP 2004,
for the pairing; A. Davison and D. Hinkley, "Bootstrap Methods and their Application", 1997, ch. 5,
for basic intervals: a resample holds fewer different samples, which biases figures of likeness
downwards, and the basic interval takes that off again where the percentile one does not. They
cover the drawing of these samples, not of other documents.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel, ConfigDict

from twin.domain.errors import BadDataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.95
MIN_SAMPLES = 2
#: Resamples computed at once: bounds the memory of statistics that count many features.
_BATCH = 50

Statistic: TypeAlias = "Callable[[NDArray[np.intp]], NDArray[np.float64]]"
"""From sample indices, shape (..., n), to a value for each leading index, shape (...)."""


class Estimate(BaseModel):
    """A measured value with its 95 % interval."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float


def estimate(statistic: Statistic, samples: int, *, resamples: int, seed: int) -> Estimate:
    """The statistic on all samples, and its basic interval over resamples of them.

    Two statistics are compared by estimating their difference: both see the same resample.

    Raises:
        BadDataError: fewer than two samples, of which no interval can be had.
    """
    import numpy as np
    from scipy.stats import bootstrap

    if samples < MIN_SAMPLES:
        raise BadDataError(
            f"the test split has {samples} sample(s): an interval needs at least {MIN_SAMPLES}; "
            "crawl more documents or raise datasets.test_share"
        )
    every = np.arange(samples)
    result = bootstrap(
        (every,),
        lambda indices, axis: statistic(np.moveaxis(indices, axis, -1)),
        n_resamples=resamples,
        batch=_BATCH,
        vectorized=True,
        axis=-1,
        confidence_level=CONFIDENCE,
        method="basic",
        rng=np.random.default_rng(seed),
    )
    interval = result.confidence_interval
    return Estimate(
        value=float(statistic(every)), low=float(interval.low), high=float(interval.high)
    )


def mean_of(values: Any) -> Statistic:
    """The mean of one figure per sample."""
    import numpy as np

    figures = np.asarray(values, dtype=np.float64)
    return lambda indices: figures[indices].mean(axis=-1)


def difference(first: Statistic, second: Statistic) -> Statistic:
    """First minus second, on the same samples."""
    return lambda indices: first(indices) - second(indices)
