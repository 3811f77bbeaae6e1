"""Intervals by the paired bootstrap: the same resampled samples for every model.

Source: P. Koehn, "Statistical Significance Tests for Machine Translation Evaluation", EMNLP 2004,
for pairing and percentile intervals. They cover the drawing of these samples, not of other
documents.

A resample holds fewer different samples than the whole, which lowers figures of likeness between
distributions. Where that bias is more than a quarter of the standard error (below that it can be
ignored: B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993, section 10.4) it is
taken off again, so that the interval lies about the value it belongs to.
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
#: Bias, in standard errors, that is left alone.
IGNORED_BIAS = 0.25
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
    """The statistic on all samples, and its interval over resamples of them.

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
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    value, resampled = float(statistic(every)), result.bootstrap_distribution
    bias = float(resampled.mean()) - value
    shift = bias if abs(bias) > IGNORED_BIAS * float(resampled.std()) else 0.0
    interval = result.confidence_interval
    return Estimate(value=value, low=float(interval.low) - shift, high=float(interval.high) - shift)


def mean_of(values: Any) -> Statistic:
    """The mean of one figure per sample."""
    import numpy as np

    figures = np.asarray(values, dtype=np.float64)
    return lambda indices: figures[indices].mean(axis=-1)


def difference(first: Statistic, second: Statistic) -> Statistic:
    """First minus second, on the same samples."""
    return lambda indices: first(indices) - second(indices)
