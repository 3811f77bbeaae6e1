"""Judges held to people: agreement, and corrected win rates that hold the truth by simulation."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from twin.evaluation.calibration import SCORES, calibrate, corrected, kappa_of
from twin.evaluation.resampling import estimate, share_of
from twin.rag.judge import Winner

FIRST, TIE, SECOND, NONE = Winner.FIRST, Winner.TIE, Winner.SECOND, Winner.NONE
TIES = 0.15
DOCUMENT_EFFECT = 0.6
SENSITIVITY, SPECIFICITY = 0.85, 0.7


def compared(draw, documents, each, rate, sensitivity=SENSITIVITY, specificity=SPECIFICITY):
    """What people say, what the judge says, and documents; people's odds differ by document."""
    document = np.repeat(np.arange(documents), each)
    effect = draw.normal(0, DOCUMENT_EFFECT, documents)[document]
    odds = np.exp(np.log(rate / (1 - rate)) + effect)
    won = draw.random(len(document)) < odds / (1 + odds)
    tied = draw.random(len(document)) < TIES
    chance = draw.random(len(document))
    people = np.where(tied, TIE, np.where(won, FIRST, SECOND))
    of_tied = np.where(chance < 0.5, TIE, np.where(chance < 0.75, FIRST, SECOND))
    right = np.where(won, chance < sensitivity, chance < specificity)
    of_decided = np.where(right == won, FIRST, SECOND)
    judge = np.where(tied, of_tied, of_decided)
    names = [f"document {number}" for number in document]
    return [Winner(each) for each in people], [Winner(each) for each in judge], names


def rate_of(verdicts, groups):
    return estimate(share_of([SCORES[each] for each in verdicts]), groups)


def truth(rate):
    """People's true rate over all documents, by Gauss and Hermite."""
    effects, weights = np.polynomial.hermite_e.hermegauss(40)
    odds = np.exp(np.log(rate / (1 - rate)) + DOCUMENT_EFFECT * effects)
    won = (weights * odds / (1 + odds)).sum() / weights.sum()
    return TIES * 0.5 + (1 - TIES) * won


@pytest.mark.parametrize(("by", "tonight"), [(0.5, 0.5), (0.5, 0.85), (0.7, 0.4)])
def test_corrected_intervals_hold_the_truth_and_naive_ones_do_not(by, tonight):
    """People's pairs are of other candidates, with another win rate than tonight's."""
    draw, sets = np.random.default_rng(7), 500
    held = naive = 0
    right = truth(tonight)
    for _ in range(sets):
        calibration = calibrate(*compared(draw, 25, 4, by))
        _, judge, groups = compared(draw, 20, 3, tonight)
        rate = rate_of(judge, groups)
        found = corrected(rate, calibration)
        held += found is not None and found.low <= right <= found.high
        naive += rate.low <= right <= rate.high
    assert 0.93 <= held / sets <= 0.97
    assert naive / sets < 0.87


def test_a_perfect_judge_changes_nothing_and_a_large_calibration_costs_nothing():
    draw = np.random.default_rng(3)
    people, _, groups = compared(draw, 200, 5, 0.5)
    calibration = calibrate(people, people, groups)
    assert calibration.kappa.value == pytest.approx(1)
    assert (calibration.sensitivity.value, calibration.specificity.value) == (1, 1)
    rate = rate_of(*compared(draw, 20, 3, 0.6)[1:])
    found = corrected(rate, calibration)
    assert (found.value, found.low, found.high) == pytest.approx((rate.value, rate.low, rate.high))


def test_kappa_is_cohens():
    draw = np.random.default_rng(4)
    people, judge, _ = compared(draw, 30, 4, 0.6)
    mine, its = (np.array([SCORES[each] for each in said]) for said in (people, judge))
    found = kappa_of(mine, its).of(np.ones(len(mine)))
    assert float(found) == pytest.approx(
        cohen_kappa_score([str(each) for each in mine], [str(each) for each in its])
    )
    alike = np.ones(5)
    assert float(kappa_of(alike, alike).of(np.ones(5))) == 0


def test_a_judge_that_guesses_corrects_nothing():
    draw = np.random.default_rng(5)
    calibration = calibrate(*compared(draw, 20, 3, 0.5, sensitivity=0.5, specificity=0.5))
    assert "can't be told from guessing" in calibration.doubt
    assert corrected(rate_of(*compared(draw, 20, 3, 0.6)[1:]), calibration) is None


def test_few_documents_or_one_sided_people_calibrate_nobody():
    few = calibrate([FIRST, SECOND] * 6, [FIRST, SECOND] * 6, ["a", "b", "c", "d"] * 3)
    assert "4 group(s) of documents, at least 8 are needed" in few.doubt
    groups = [str(number) for number in range(12)]
    one_sided = calibrate([FIRST] * 12, [FIRST] * 12, groups)
    assert "too few groups" in one_sided.doubt
    for calibration in (few, one_sided):
        assert corrected(rate_of([FIRST, SECOND], ["a", "b"]), calibration) is None


def test_pairs_without_a_verdict_are_counted_and_left_out():
    people = [FIRST, SECOND, TIE] * 8
    judge = [NONE, SECOND, TIE, *people[3:]]
    found = calibrate(people, judge, [str(number // 2) for number in range(24)])
    assert (found.pairs, found.unread, found.groups) == (23, 1, 12)
    assert calibrate([FIRST], [NONE], ["a"]) is None
    assert calibrate([], [], []) is None


def test_a_rate_stays_a_rate():
    draw = np.random.default_rng(6)
    calibration = calibrate(*compared(draw, 25, 4, 0.5))
    everything = rate_of([FIRST] * 20 + [TIE], [str(number) for number in range(21)])
    found = corrected(everything, calibration)
    assert 0 <= found.low <= found.value == found.high == 1
