"""The comparison of two windows: honest where nothing differs, and not to be steered."""

import numpy as np
import pytest

from twin.monitoring.shift import shift, unit_means


def points(drawing, units, mean=0.0, each=3, name="u"):
    return [
        (f"{name}{unit}", drawing.normal(mean, 1, 4)) for unit in range(units) for _ in range(each)
    ]


def test_a_difference_is_found_with_its_size():
    drawing = np.random.default_rng(1)
    found = shift(points(drawing, 300), points(drawing, 120, mean=1.0))
    assert found.p_value < 0.001
    # Means of three: within a unit's variance of a third, a quarter of the distance of 1 between.
    assert found.share == pytest.approx(0.25 / (1 / 3 + 0.25), abs=0.06)
    assert (found.before, found.after) == (300, 120)


def test_where_nothing_differs_chance_is_told_as_it_is():
    drawing = np.random.default_rng(2)
    found = [shift(points(drawing, 20), points(drawing, 10)) for _ in range(300)]
    assert 0.02 < np.mean([each.p_value <= 0.05 for each in found]) < 0.09
    assert np.mean([each.share for each in found]) < 0.05


def test_one_caller_weighs_as_one_however_much_it_asks():
    drawing = np.random.default_rng(3)
    after = points(drawing, 12)
    flood = [("u0", [9.0, 9.0, 9.0, 9.0])] * 5_000
    assert shift(points(drawing, 30), [*after, *flood]).p_value > 0.05
    assert len(unit_means([*after, *flood])) == 12


def test_equal_windows_differ_by_nothing():
    same = [(name, [1.0, 0.0]) for name in "abcdefgh"]
    found = shift(same, same)
    assert (found.p_value, found.share) == (1.0, 0.0)


def test_a_difference_without_any_spread_is_all_there_is():
    before = [(name, [1.0]) for name in "abcdefgh"]
    found = shift(before, [(name, [2.0]) for name in "ijklmnop"])
    assert found.share == 1.0
    assert found.p_value < 0.001
