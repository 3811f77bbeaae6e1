"""What a reranker gains: the weight that is chosen, and whether chance may have done it."""

import pytest
from scipy import stats

from twin.features.reranker_gain import (
    LEAST_GROUPS,
    WEIGHTS,
    Scored,
    _t,
    best_weight,
    gain_of,
    paired_gain,
)
from twin.stores.trained_models import Gain

IDS = ("a", "b", "c")


def scored(document="d", relevant="b", found=(3.0, 2.0, 1.0), scores=(0.0, 9.0, 0.0)):
    return Scored(document, frozenset({relevant}), IDS, found, scores)


def test_all_the_weight_is_the_rerankers_order_and_none_the_searchs():
    one = scored()
    assert one.ndcg(1.0) == 1.0
    assert one.ndcg(0) == pytest.approx(1 / 1.584962500721156)
    assert scored(relevant="a").ndcg(0) == 1.0
    assert scored(relevant="z").ndcg(1.0) == 0.0


def test_both_scores_count_each_scaled():
    # a: 1 and 0, b: 0.5 and 1: b is first from a third of the weight on.
    one = scored()
    assert one.ndcg(0.25) < 1.0
    assert one.ndcg(0.5) == 1.0


def test_of_weights_that_do_the_same_the_least_is_chosen():
    assert best_weight([scored()]) == 0.5
    assert best_weight([scored(relevant="a", scores=(9.0, 0.0, 0.0))]) == WEIGHTS[0]
    misled = scored(relevant="a")
    assert best_weight([misled, misled, scored()]) == WEIGHTS[0]


def test_the_gain_is_told_with_its_documents():
    gain = gain_of([scored(), scored(), scored("e")], 1.0)
    assert (gain.questions, gain.documents) == (3, 2)
    assert gain.after == 1.0
    assert gain.before == pytest.approx(0.6309, abs=1e-4)
    assert gain.low is None and gain.high is None
    assert not gain.is_proved, "two documents prove nothing"
    assert gain_of([], 1.0) is None


def test_a_gain_in_every_document_is_proved_and_one_by_chance_is_not():
    good = [scored(f"d{n}", found=(3.0, 2.0, 1.0 + n / 100)) for n in range(LEAST_GROUPS)]
    worse = [scored(f"e{n}", relevant="a", scores=(0.0, 9.0, 0.0)) for n in range(LEAST_GROUPS)]
    assert gain_of(good, 1.0).is_proved
    assert not gain_of(good[:-1], 1.0).is_proved, "too few documents"
    half = gain_of([*good[:4], *worse[:4]], 1.0)
    assert half.low < 0 < half.high
    assert not half.is_proved
    assert gain_of(worse, 1.0).high < 0


def test_a_document_of_many_questions_counts_once():
    many = [scored("d0") for _ in range(100)]
    bad = [scored(f"e{n}", relevant="a") for n in range(LEAST_GROUPS)]
    gain = gain_of([*many, *bad], 1.0)
    assert gain.after > gain.before
    assert gain.high < 0.1 and not gain.is_proved


def test_the_interval_is_students():
    rows = [scored(f"d{n}", relevant="a" if n < 3 else "b") for n in range(10)]
    gain = gain_of(rows, 1.0)
    each = [row.ndcg(1.0) - row.ndcg(0) for row in rows]
    expected = stats.t.interval(0.95, 9, loc=sum(each) / 10, scale=stats.sem(each))
    assert (gain.low, gain.high) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("freedom", [7, 10, 30, 200])
def test_students_t_is_that_of_the_tables(freedom):
    assert _t(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=0.01)


def test_zero_is_no_proof():
    assert not Gain(questions=9, documents=9, before=0, after=0, low=0.0, high=0.1).is_proved


def test_questions_that_were_measured_twice_are_compared_pair_by_pair():
    measured = [(f"d{n}", 0.2 + n / 100, 0.4 + n / 100) for n in range(LEAST_GROUPS)]
    gain = paired_gain(measured)
    assert (gain.before, gain.after) == (pytest.approx(0.235), pytest.approx(0.435))
    assert gain.low == pytest.approx(0.2) and gain.high == pytest.approx(0.2)
    assert not paired_gain([(name, was, is_) for name, is_, was in measured]).is_proved
    assert paired_gain([]) is None
