"""The hard limit on the author's hand."""

import math

from twin.evaluation.authorship_check import authorship_check
from twin.evaluation.checks import Verdict
from twin.evaluation.resampling import Estimate
from twin.recipes import GateSection

GATE = GateSection(max_authorship_gap=0.5)


def gap(low, high):
    return Estimate(value=(low + high) / 2, low=low, high=high, error=0.1, groups=8)


def test_another_hand_is_rejected_where_the_whole_interval_says_so():
    check = authorship_check(gap(-0.9, -0.6), GATE)
    assert not check.passed
    assert check.otherwise is Verdict.REJECT
    assert check.text.endswith("the better end must be at least -0.500: FAILED")


def test_what_may_be_the_authors_passes():
    assert authorship_check(gap(-0.9, -0.5), GATE).passed
    assert authorship_check(gap(-0.1, 0.2), GATE).passed


def test_a_gap_that_is_no_number_rejects_nobody():
    assert authorship_check(gap(math.nan, math.nan), GATE).passed


def test_it_can_be_switched_off():
    assert authorship_check(gap(-1.0, -0.99), GateSection(max_authorship_gap=1.0)).passed
