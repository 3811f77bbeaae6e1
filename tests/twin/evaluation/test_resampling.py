"""Intervals: checked against theory, and for what must hold of any numbers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.domain.errors import BadDataError
from twin.evaluation.resampling import difference, estimate, mean_of

figures = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30)


def of(statistic, samples, resamples=200, seed=1):
    return estimate(statistic, samples, resamples=resamples, seed=seed)


@settings(max_examples=30, deadline=None)
@given(figures)
def test_the_value_is_the_statistic_on_all_samples(values):
    found = of(mean_of(values), len(values))
    assert found.value == pytest.approx(np.mean(values))
    assert found.low <= found.high
    reach = max(values) - min(values)
    assert found.high - found.low <= 2 * reach + 1e-6


@settings(max_examples=20, deadline=None)
@given(figures)
def test_the_same_seed_gives_the_same_interval(values):
    assert of(mean_of(values), len(values)) == of(mean_of(values), len(values))


@settings(max_examples=20, deadline=None)
@given(figures, st.floats(-10, 10))
def test_pairing_cancels_what_both_models_share(values, gain):
    """However hard the samples, a constant gain on each is a gain without doubt."""
    better = [value + gain for value in values]
    found = of(difference(mean_of(better), mean_of(values)), len(values))
    assert found.low == pytest.approx(gain, abs=1e-6)
    assert found.high == pytest.approx(gain, abs=1e-6)


def test_a_mean_of_normal_samples_has_the_interval_of_the_textbook():
    values = np.random.default_rng(5).normal(10, 2, 400)
    found = of(mean_of(values), len(values), resamples=4000)
    half = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)


def test_nineteen_of_twenty_intervals_hold_the_truth():
    source = np.random.default_rng(7)
    hits = 0
    for _ in range(200):
        values = source.normal(0, 1, 40)
        found = of(mean_of(values), 40, resamples=300)
        hits += found.low <= 0 <= found.high
    assert 176 <= hits <= 199


def test_more_samples_give_a_narrower_interval():
    values = np.random.default_rng(3).normal(0, 1, 400)
    few, many = of(mean_of(values[:20]), 20), of(mean_of(values), 400)
    assert many.high - many.low < (few.high - few.low) / 2


def test_a_share_stays_a_share():
    found = of(mean_of([1.0] * 11 + [0.0]), 12)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_the_bias_of_resampling_is_taken_off():
    """The number of different values falls in every resample; the interval must not fall too."""
    values = np.arange(30)

    def different(indices):
        return np.apply_along_axis(lambda row: len(set(row)), -1, values[indices]).astype(float)

    found = of(different, 30)
    assert found.value == 30
    assert found.low <= 30 <= found.high


def test_one_sample_has_no_interval():
    with pytest.raises(BadDataError, match=r"1 sample\(s\): an interval needs at least 2"):
        of(mean_of([1.0]), 1)
