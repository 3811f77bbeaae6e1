"""How well hands are told apart: areas that are known, and intervals over both sides."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from twin.evaluation.separation import area_under_curve, separation

SOME = st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0]), min_size=1, max_size=8)


@settings(max_examples=50, deadline=None)
@given(SOME, SOME)
def test_the_area_is_that_of_the_textbook(own, other):
    statistic = area_under_curve(np.array(own), np.array(other))
    found = float(statistic.of(np.ones(len(own) + len(other))))
    wanted = roc_auc_score([1] * len(own) + [0] * len(other), own + other)
    assert found == pytest.approx(wanted)


def test_weightings_at_once_are_weightings_one_by_one():
    statistic = area_under_curve(np.array([0.2, 0.9, 0.6]), np.array([0.1, 0.6]))
    rows = np.random.default_rng(1).integers(1, 4, (5, 5)).astype(float)
    assert statistic.of(rows) == pytest.approx([float(statistic.of(row)) for row in rows])


def test_errors_are_counted_on_each_side_over_its_own_groups():
    found = separation(
        np.array([0.9, 0.8, 0.4, 0.7]),
        ["a", "a", "b", "b"],
        np.array([0.1, 0.6, 0.2]),
        ["x", "y", "z"],
    )
    assert (found.pieces, found.other_pieces) == (4, 3)
    assert found.missed.value == 0.25
    assert found.missed.groups == 2
    assert found.mistaken.value == pytest.approx(1 / 3)
    assert found.mistaken.groups == 3
    assert found.auc.value == pytest.approx(11 / 12)
    assert found.auc_documents.value == pytest.approx(5 / 6)
    assert found.auc.groups == 5
    assert 0 <= found.auc.low < found.auc.value < found.auc.high <= 1


def test_one_document_has_a_value_and_no_interval():
    found = separation(np.array([0.9, 0.8]), ["a", "a"], np.array([0.1, 0.2]), ["x", "y"])
    assert (found.auc.value, found.auc.low, found.auc.high) == (1.0, 0.0, 1.0)
    assert found.auc.error == math.inf
