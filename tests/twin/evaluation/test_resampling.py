"""Intervals: checked against theory, by simulation, and for what must hold of any numbers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, t

from twin.evaluation.resampling import Estimate, difference, estimate, mean_of, ratio_of, share_of

figures = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30)


def alone(values):
    """Each sample is a group of its own."""
    return [f"document {number}" for number in range(len(values))]


def of(values):
    return estimate(mean_of(values), alone(values))


@settings(max_examples=30, deadline=None)
@given(figures)
def test_the_value_is_the_statistic_on_all_samples(values):
    found = of(values)
    assert found.value == pytest.approx(np.mean(values), abs=1e-9)
    assert found.low <= found.value <= found.high


@settings(max_examples=20, deadline=None)
@given(figures, st.floats(-10, 10))
def test_pairing_cancels_what_both_models_share(values, gain):
    """However hard the samples, a constant gain on each is a gain without doubt."""
    better = [value + gain for value in values]
    found = estimate(difference(mean_of(better), mean_of(values)), alone(values))
    assert found.low == pytest.approx(gain, abs=1e-6)
    assert found.high == pytest.approx(gain, abs=1e-6)


@pytest.mark.parametrize("size", [2, 8, 40])
def test_a_mean_of_single_samples_has_the_interval_of_the_textbook(size):
    values = np.random.default_rng(5).normal(10, 2, size)
    found = of(values)
    error = values.std(ddof=1) / math.sqrt(size)
    low, high = t.interval(0.95, size - 1, loc=values.mean(), scale=error)
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), low, high))
    assert (found.error, found.groups) == (pytest.approx(error), size)
    assert found.spread == pytest.approx(values.std(ddof=1))


def test_samples_of_one_document_count_as_one():
    """Said ten times over, four documents tell no more than four documents."""
    values = [1.0, 2.0, 4.0, 3.0]
    once = of(values)
    often = estimate(mean_of(values * 10), alone(values) * 10)
    assert (often.low, often.high) == pytest.approx((once.low, once.high))
    assert of(values * 10).high < often.high


def test_a_ratio_of_groups_of_any_size_agrees_with_the_bootstrap_of_many_groups():
    draw = np.random.default_rng(2)
    groups = np.repeat(np.arange(300), draw.integers(1, 8, 300))
    tokens = draw.integers(5, 50, len(groups))
    likelihoods = tokens * (1 + draw.normal(0, 0.3, 300)[groups])
    found = estimate(ratio_of(likelihoods, tokens), [str(group) for group in groups])
    sums = np.array([np.bincount(groups, each) for each in (likelihoods, tokens)])

    def ratio(above, below, axis):
        return above.sum(axis=axis) / below.sum(axis=axis)

    other = bootstrap(sums, ratio, paired=True, n_resamples=2_000, rng=draw)
    assert found.error == pytest.approx(other.standard_error, rel=0.05)


@pytest.mark.parametrize("documents", [8, 12, 20, 40])
def test_nineteen_of_twenty_intervals_hold_the_truth_under_document_effects(documents):
    draw = np.random.default_rng(documents)
    names = [str(number) for number in range(documents)]
    hits = 0
    for _ in range(2_000):
        sizes = draw.integers(2, 5, documents)
        values = np.repeat(draw.normal(0, 1, documents), sizes) + draw.normal(0, 1, sizes.sum())
        found = estimate(mean_of(values), np.repeat(names, sizes).tolist())
        hits += found.low <= 0 <= found.high
    assert 0.93 <= hits / 2_000 <= 0.97


def test_a_share_stays_a_share():
    values = [1.0] * 11 + [0.0]
    found = estimate(share_of(values), alone(values))
    assert 0 <= found.low <= found.value <= found.high == 1
    loss = estimate(difference(share_of(values), share_of([0.0] * 12)), alone(values))
    assert loss.high == 1
    worse = estimate(difference(share_of([0.0] * 12), share_of(values)), alone(values))
    assert worse.low == -1
    assert estimate(mean_of(values), alone(values)).high > 1


def test_what_does_not_count_makes_no_group():
    """Three documents have a question with facts; the others tell nothing of right answers."""
    values, counted = [1.0, 0.0, 1.0, 9.0, 9.0], [True, True, True, False, False]
    found = estimate(mean_of(values, counted), alone(values))
    assert found == of(values[:3])
    assert found.groups == 3
    same = estimate(difference(mean_of(values, counted), mean_of(values, counted)), alone(values))
    assert (same.value, same.groups) == (0, 3)


@pytest.mark.parametrize("samples", [1, 5])
def test_one_document_has_a_value_and_no_interval(samples):
    found = estimate(mean_of([2.0] * samples), ["the only one"] * samples)
    assert (found.value, found.low, found.high) == (2.0, -math.inf, math.inf)
    assert found.groups == 1


def test_an_estimate_without_ends_or_number_survives_json():
    odd = Estimate(value=math.nan, low=-math.inf, high=math.inf, error=math.inf, groups=1)
    again = Estimate.model_validate_json(odd.model_dump_json())
    assert math.isnan(again.value)
    assert (again.low, again.high) == (-math.inf, math.inf)


def test_a_wider_interval_of_the_same_figure():
    values = np.random.default_rng(4).normal(0, 1, 12)
    found = of(values).at(0.999)
    error = values.std(ddof=1) / math.sqrt(12)
    assert (found.low, found.high) == pytest.approx(t.interval(0.999, 11, values.mean(), error))
    assert (found.value, found.confidence) == (of(values).value, 0.999)
    alone_in_the_world = estimate(mean_of([1.0]), ["a"])
    assert alone_in_the_world.at(0.999) == alone_in_the_world


def test_more_groups_than_are_left_out_at_once():
    values = np.random.default_rng(3).normal(0, 1, 600)
    error = values.std(ddof=1) / math.sqrt(600)
    assert of(values).error == pytest.approx(error)
