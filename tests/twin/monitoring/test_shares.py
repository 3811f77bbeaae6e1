"""Shares of callers against limits and baselines."""

from tests.twin.monitoring.seen import NOW
from twin.domain.monitoring import Baseline, Standing
from twin.monitoring.shares import at_least, at_most, mean_of_units, near_baseline


def share(ones, zeros):
    return mean_of_units([(str(number), float(number < ones)) for number in range(ones + zeros)])


def test_a_unit_counts_once():
    found = mean_of_units([("a", 0.0)] * 1000 + [("b", 1.0)] * 3 + [("c", 1.0)])
    assert found.groups == 3
    assert abs(found.value - 2 / 3) < 1e-9


def test_a_limit_is_passed_by_the_whole_interval_only():
    few, many = share(3, 7), share(60, 140)
    assert at_most("x", few, 0.2, "errors").standing is Standing.GOOD
    found = at_most("x", many, 0.2, "errors")
    assert found.standing is Standing.BAD
    assert (found.value, found.reference, found.count) == (many.value, 0.2, 200)
    assert found.low > 0.2
    assert "30%" in found.says and "limit 20%" in found.says
    assert at_most("x", many, found.low, "errors").standing is Standing.GOOD
    assert at_most("x", share(0, 0), 0.2, "errors").standing is Standing.UNKNOWN


def test_approval_is_low_where_the_whole_interval_is_and_enough_have_said_so():
    low = share(10, 90)
    assert at_least("x", low, 0.5, 5, "approval").standing is Standing.BAD
    assert at_least("x", low, low.high, 5, "approval").standing is Standing.GOOD
    assert at_least("x", low, 0.5, 100, "approval").standing is Standing.BAD
    assert at_least("x", low, 0.5, 101, "approval").standing is Standing.UNKNOWN


def test_a_baseline_is_left_by_more_than_the_margin():
    baseline = Baseline(value=0.1, low=0.05, high=0.15, count=50, at=NOW)
    worse = share(60, 140)
    assert near_baseline("x", worse, baseline, 0.02, "refusals").standing is Standing.BAD
    allowed = worse.low - baseline.high
    assert near_baseline("x", worse, baseline, allowed + 1e-9, "y").standing is Standing.GOOD
    assert near_baseline("x", share(0, 200), baseline, 0.0, "y").standing is Standing.GOOD
    assert near_baseline("x", worse, None, 0.0, "y").standing is Standing.GOOD
    assert near_baseline("x", share(0, 0), baseline, 0.0, "y").standing is Standing.UNKNOWN


def test_the_order_in_which_callers_come_changes_nothing():
    callers = [(f"c{number}", float(number < 30)) for number in range(60)]
    found = mean_of_units(callers)
    assert found == mean_of_units(list(reversed(callers)))
    assert found.low < found.value < found.high
