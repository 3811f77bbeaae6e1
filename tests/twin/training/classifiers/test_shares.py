"""Intervals of shares: known values, groups that hang together, and what chance leaves open."""

import random

import pytest

from twin.training.classifiers.shares import difference_of, share_of


def test_of_independent_texts_it_is_clopper_and_pearsons():
    """0 of 20, 20 of 20 and 10 of 100, as tables have them."""
    alone = [str(number) for number in range(100)]
    none = share_of([False] * 20, alone[:20])
    assert (none.value, none.low, none.high) == pytest.approx((0.0, 0.0, 0.1684), abs=1e-4)
    every = share_of([True] * 20, alone[:20])
    assert (every.low, every.high) == pytest.approx((0.8316, 1.0), abs=1e-4)
    some = share_of([True] * 10 + [False] * 90, alone)
    assert (some.low, some.high) == pytest.approx((0.0490, 0.1762), abs=2e-3)
    assert (some.texts, some.groups) == (100, 100)
    assert str(none) == "0.0% (0.0% to 16.8%)"
    assert share_of([], []) is None


def test_texts_that_hang_together_tell_less():
    hits = ([True] * 10 + [False] * 10) * 5
    alone = share_of(hits, [str(number) for number in range(100)])
    together = share_of(hits, [str(number // 10) for number in range(100)])
    assert together.value == alone.value
    assert together.high - together.low > 2 * (alone.high - alone.low)
    assert together.groups == 10


@pytest.mark.parametrize("hit", [False, True])
def test_without_a_spread_between_groups_each_counts_as_one_text(hit):
    groups = [str(number // 5) for number in range(100)]
    together = share_of([hit] * 100, groups)
    alone = share_of([hit] * 20, groups[::5])
    assert (together.low, together.high) == (alone.low, alone.high)
    assert (together.texts, together.groups) == (100, 20)
    one = share_of([True, False] * 50, ["a"] * 100)
    assert one.value == 0.5
    assert (one.low, one.high) == pytest.approx((0.0, 1.0), abs=0.02)


def test_nineteen_of_twenty_intervals_hold_the_truth():
    """Groups of five that share their luck half of the time."""
    draw = random.Random(5)
    held = 0
    for _ in range(300):
        hits, groups = [], []
        for group in range(25):
            luck = draw.random() < 0.3
            for _ in range(5):
                hits.append(luck if draw.random() < 0.5 else draw.random() < 0.3)
                groups.append(str(group))
        share = share_of(hits, groups)
        held += share.low <= 0.3 <= share.high
    assert 0.92 <= held / 300 <= 1.0


def test_a_difference_is_proved_only_beyond_chance_between_groups():
    groups = [str(number // 2) for number in range(40)]
    better = difference_of([True] * 36 + [False] * 4, [True] * 20 + [False] * 20, groups)
    assert better.value == pytest.approx(0.4)
    assert better.is_proved
    worse = difference_of([True] * 20 + [False] * 20, [True] * 36 + [False] * 4, groups)
    assert (worse.low, worse.high) == pytest.approx((-better.high, -better.low))
    assert not worse.is_proved
    even = difference_of([True, False] * 20, [False, True] * 20, [str(n) for n in range(40)])
    assert even.value == 0.0
    assert not even.is_proved
    assert difference_of([True], [False], ["a"]) is None
