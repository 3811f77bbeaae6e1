"""What a set can show: against simulation, and for what must hold of any spread."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import nct, t

from twin.evaluation.power import MAX_GROUPS, MIN_GROUPS, POWER, power_of
from twin.evaluation.resampling import Estimate

spreads = st.floats(0.01, 1.0)


def measured(spread, groups, value=0.0):
    error = spread / math.sqrt(groups)
    return Estimate(value=value, low=value - error, high=value + error, error=error, groups=groups)


def of(spread, groups, others=(), wanted=0.05):
    tolerated = [(measured(each, groups), tolerance) for each, tolerance in others]
    return power_of("perplexity", measured(spread, groups), tolerated, wanted)


@pytest.mark.parametrize("groups", [8, 20, 100])
def test_the_smallest_effect_is_seen_with_the_power_that_theory_says(groups):
    found = of(0.1, groups).smallest
    least = t.ppf(0.975, groups - 1)
    power = nct.sf(least, groups - 1, found / (0.1 / math.sqrt(groups)))
    assert power == pytest.approx(POWER, abs=0.01)


def test_other_measures_that_must_not_lose_cost_power():
    alone, two = of(0.1, 40), of(0.1, 40, [(0.1, 0.05), (0.1, 0.06)])
    assert alone.smallest < two.smallest
    # By simulation: gain, and two proofs that nothing was lost, in four of five sets.
    draw = np.random.default_rng(1)
    lost = [0.0, 0.05, 0.06]
    values = draw.normal([two.smallest, 0, 0], 0.1, (4_000, 40, 3))
    reach = t.ppf(0.975, 39) * values.std(axis=1, ddof=1) / math.sqrt(40)
    seen = (values.mean(axis=1) - reach > np.negative(lost)).all(axis=1)
    assert POWER <= seen.mean() <= POWER + 0.06


def test_a_tolerance_that_the_set_cannot_prove_hides_every_gain():
    found = of(0.1, 10, [(0.5, 0.02)])
    assert found.smallest is None
    assert not found.is_enough
    assert found.needed > 1_000


@given(spreads, st.integers(2, 300))
def test_as_many_groups_as_are_needed_would_do_and_one_less_would_not(spread, groups):
    found = of(spread, groups)
    assert found.needed >= MIN_GROUPS
    assert of(spread, found.needed).is_enough
    if found.needed > MIN_GROUPS:
        assert not of(spread, found.needed - 1).is_enough


@given(spreads, st.integers(8, 100))
def test_a_larger_set_shows_smaller_effects(spread, groups):
    assert of(spread, 2 * groups).smallest < of(spread, groups).smallest


def test_what_no_set_shows_and_what_any_set_shows():
    assert of(0.1, 20, [(0.1, 0.0)]).needed is None
    assert of(0.0, 20).smallest == 0
    assert of(0.0, 20).needed == MIN_GROUPS
    assert of(100.0, 20, wanted=0.001).needed is None
    assert MAX_GROUPS >= 10_000


def test_of_one_group_nothing_is_known():
    found = power_of("perplexity", measured(0.1, 1), [], 0.05)
    assert (found.smallest, found.needed) == (None, None)
    odd = Estimate(value=math.nan, low=math.nan, high=math.nan, error=math.nan, groups=9)
    assert power_of("perplexity", odd, [], 0.05).smallest is None
