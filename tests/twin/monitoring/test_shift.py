"""The comparison of two windows: honest where nothing differs, and not to be steered."""

import numpy as np
import pytest

from twin.monitoring.shift import shift


def points(drawing, units, mean=0.0):
    return list(drawing.normal(mean, 1, (units, 4)))


def test_a_difference_is_found_with_its_size():
    drawing = np.random.default_rng(1)
    found = shift(points(drawing, 300), points(drawing, 120, mean=1.0))
    assert found.p_value < 0.001
    # In each of the numbers a variance of 1 within, a quarter of the distance of 1 between.
    assert found.share == pytest.approx(0.25 / (1 + 0.25), abs=0.06)
    assert (found.before, found.after) == (300, 120)


def test_where_nothing_differs_chance_is_told_as_it_is():
    drawing = np.random.default_rng(2)
    found = [shift(points(drawing, 20), points(drawing, 10)) for _ in range(300)]
    assert 0.02 < np.mean([each.p_value <= 0.05 for each in found]) < 0.09
    assert np.mean([each.share for each in found]) < 0.05


def test_equal_windows_differ_by_nothing():
    same = [[1.0, 0.0]] * 8
    found = shift(same, same)
    assert (found.p_value, found.share) == (1.0, 0.0)


def test_a_difference_without_any_spread_is_all_there_is():
    found = shift([[1.0]] * 8, [[2.0]] * 8)
    assert found.share == 1.0
    assert found.p_value < 0.001
