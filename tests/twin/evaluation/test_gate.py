"""The gate, on evidence of every kind."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from twin.evaluation.checks import Check, Verdict, hard_limit
from twin.evaluation.gate import Evidence, judge
from twin.evaluation.measures import DELTA, MEANING, PERPLEXITY, RIGHT, ROUGE_L, STYLE
from twin.evaluation.resampling import Estimate
from twin.evaluation.soundness import Soundness
from twin.recipes import GateSection

GATE = GateSection()
PROMOTE, HOLD, REJECT = Verdict.PROMOTE, Verdict.HOLD, Verdict.REJECT


def sure(value):
    return Estimate(value=value, low=value, high=value, error=0.0, groups=20)


def between(low, high, value=None, groups=20):
    middle = (low + high) / 2 if value is None else value
    error = (high - low) / 2 / 2.093  # t of 19 degrees
    return Estimate(value=middle, low=low, high=high, error=error, groups=groups)


def gains(perplexity=0.2, rouge=0.05, style=0.1, meaning=0.02, right=0.1):
    return {
        PERPLEXITY: sure(perplexity),
        RIGHT: sure(right),
        ROUGE_L: sure(rouge),
        STYLE: sure(style),
        MEANING: sure(meaning),
        DELTA: sure(-9.0),
    }


EQUAL = gains(0.0, 0.0, 0.0, 0.0, 0.0)
BETTER = EQUAL | {PERPLEXITY: sure(0.04)}


def evidence(
    base=None,
    champion=None,
    reference=None,
    recall=0.9,
    copies=0.1,
    groups=20,
    new_documents=0,
    doubts=(),
    **broken,
):
    against = {"base": base or gains(), "champion": champion, "reference": reference}
    counts = {"empty": 0, "leaking": 0, "looping": 0, **broken}
    return Evidence(
        soundness=Soundness(answers=20, **counts),
        copies=sure(copies),
        gains={role: gained for role, gained in against.items() if gained is not None},
        recall=recall if isinstance(recall, Estimate) else sure(recall),
        recall_k=5,
        groups=groups,
        has_champion=champion is not None,
        new_documents=new_documents,
        doubts=doubts,
    )


def verdict(found, gate=GATE):
    return judge(found, gate).verdict


def failed(found, gate=GATE):
    return {check.name for check in judge(found, gate).checks if not check.passed}


def test_a_first_version_that_learned_is_promoted_on_a_set_of_any_size():
    judgement = judge(evidence(groups=2), GATE)
    assert judgement.verdict is PROMOTE
    assert judgement.reasons == (
        "first version: perplexity falls by 20.0% against base (95% interval 20.0% to 20.0%), and "
        "no hard limit is broken",
    )
    assert verdict(evidence(groups=1)) is HOLD


@pytest.mark.parametrize(
    ("found", "name", "expected"),
    [
        (evidence(leaking=1), "no special tokens", REJECT),
        (evidence(empty=6), "no empty answers", REJECT),
        (evidence(looping=6), "no loops", REJECT),
        (evidence(copies=0.81), "no mere copying", REJECT),
        (evidence(recall=0.49), "retrieval", REJECT),
        (evidence(base=gains(perplexity=0.01)), "perplexity against base", REJECT),
        (evidence(base=gains(rouge=-0.03)), "ROUGE-L against base", REJECT),
        (evidence(base=gains(style=-0.06)), "style similarity against base", REJECT),
        (evidence(base=gains(meaning=-0.06)), "semantic similarity against base", REJECT),
        (evidence(base=gains(right=-0.11)), "answers right against base", REJECT),
        (evidence(groups=1), "document groups", HOLD),
        (evidence(champion=BETTER, groups=7), "document groups", HOLD),
        (evidence(champion=BETTER, doubts=("it is gone",)), "evidence is whole", HOLD),
        (evidence(champion=EQUAL), "gain or new knowledge", HOLD),
        (
            evidence(champion=EQUAL | {PERPLEXITY: sure(-0.01)}),
            "gain or new knowledge",
            REJECT,
        ),
        (
            evidence(champion=BETTER, reference=EQUAL | {PERPLEXITY: sure(-0.051)}),
            "perplexity against reference",
            REJECT,
        ),
        (
            evidence(champion=BETTER, reference=EQUAL | {STYLE: sure(-0.051)}),
            "style similarity against reference",
            REJECT,
        ),
    ],
)
def test_each_fault_alone_has_its_verdict_and_is_named(found, name, expected):
    assert failed(found) == {name}
    judgement = judge(found, GATE)
    assert judgement.verdict is expected
    assert judgement.reasons[0].endswith("FAILED")


@pytest.mark.parametrize(
    "found",
    [
        evidence(empty=5, looping=5),
        evidence(copies=0.8),
        evidence(recall=0.5),
        evidence(base=gains(0.02, -0.02, -0.05, -0.05, -0.1)),
        evidence(champion=BETTER, groups=8),
        evidence(champion=gains(-0.02, -0.02, -0.05, -0.05, -0.1), new_documents=1),
        evidence(
            champion=BETTER, reference=gains(-0.05, -0.02, -0.05, -0.05, -0.1), new_documents=1
        ),
    ],
)
def test_what_is_just_within_its_limit_passes(found):
    assert failed(found) == set()
    assert verdict(found) is PROMOTE


@pytest.mark.parametrize(
    ("measure", "tolerance", "name"),
    [
        (PERPLEXITY, 0.02, "perplexity against champion"),
        (RIGHT, 0.1, "answers right against champion"),
        (ROUGE_L, 0.02, "ROUGE-L against champion"),
        (STYLE, 0.05, "style similarity against champion"),
        (MEANING, 0.05, "semantic similarity against champion"),
    ],
)
def test_a_loss_against_the_champion_is_rejected_if_measured_and_held_if_not_excluded(
    measure, tolerance, name
):
    """Each measure has its own tolerance, and none goes unchecked."""
    lost = evidence(champion=BETTER | {measure: sure(-tolerance - 0.001)}, new_documents=1)
    assert (failed(lost), verdict(lost)) == ({name}, REJECT)
    unclear = between(-tolerance - 0.001, tolerance)
    shaky = evidence(champion=BETTER | {measure: unclear}, new_documents=1)
    assert (failed(shaky), verdict(shaky)) == ({name}, HOLD)
    (check,) = [check for check in judge(shaky, GATE).checks if not check.passed]
    assert (check.low, check.measured, check.high) == (unclear.low, unclear.value, unclear.high)
    assert check.threshold == -tolerance


def test_a_loss_that_chance_may_have_made_is_held_and_not_rejected():
    """The value is beyond the tolerance, the better end is not."""
    unsure = EQUAL | {PERPLEXITY: between(-0.1, 0.0)}
    assert verdict(evidence(champion=unsure, new_documents=1)) is HOLD


def test_a_broken_limit_outweighs_wanting_evidence():
    judgement = judge(evidence(champion=BETTER, groups=7, leaking=1), GATE)
    assert judgement.verdict is REJECT
    assert len(judgement.reasons) == 1


def test_a_first_version_is_not_told_of_a_larger_set():
    judgement = judge(evidence(base=gains() | {PERPLEXITY: between(-0.1, 0.5)}), GATE)
    assert judgement.verdict is HOLD
    assert not judgement.power.is_enough
    assert len(judgement.reasons) == 1


def test_a_special_token_is_never_borne():
    assert failed(evidence(leaking=1), GateSection(max_broken_share=1.0)) == {"no special tokens"}


def test_recall_is_judged_by_its_value():
    assert failed(evidence(recall=between(0.3, 0.9, value=0.45))) == {"retrieval"}
    assert failed(evidence(recall=between(0.3, 0.9, value=0.55))) == set()


def test_copying_is_judged_by_its_value():
    copying = evidence()
    unsure = between(0.7, 0.92)
    assert failed(replace(copying, copies=unsure)) == {"no mere copying"}
    assert failed(replace(copying, copies=between(0.7, 0.88))) == set()


def test_promotion_needs_a_gain_whose_interval_is_above_zero_or_new_documents():
    shown = evidence(champion=EQUAL | {PERPLEXITY: between(0.002, 0.05)})
    assert judge(shown, GATE).reasons[0].startswith("a real gain: perplexity falls by 2.6%")
    unsure = EQUAL | {PERPLEXITY: between(-0.001, 0.05)}
    assert verdict(evidence(champion=unsure)) is HOLD
    judgement = judge(evidence(champion=unsure, new_documents=4), GATE)
    assert judgement.verdict is PROMOTE
    assert judgement.reasons[0].startswith(
        "new knowledge at no loss: learned from 4 document(s) that the champion was not trained on"
    )


def test_a_gain_in_another_measure_is_no_reason():
    assert verdict(evidence(champion=EQUAL | {ROUGE_L: sure(0.3)})) is HOLD
    by_words = GateSection(primary="rouge_l", min_effect=0.05)
    assert verdict(evidence(champion=EQUAL | {ROUGE_L: sure(0.3)}), by_words) is PROMOTE
    assert verdict(evidence(champion=BETTER), by_words) is HOLD


def test_the_reference_bounds_the_primary_measure_by_the_total_and_others_as_ever():
    by_words = GateSection(primary="rouge_l", max_total_loss=0.04)
    against = {"champion": EQUAL | {ROUGE_L: sure(0.01)}}
    assert verdict(evidence(**against, reference=gains(rouge=-0.04)), by_words) is PROMOTE
    assert verdict(evidence(**against, reference=gains(rouge=-0.041)), by_words) is REJECT
    assert verdict(evidence(**against, reference=gains(perplexity=-0.03)), by_words) is REJECT


def test_the_reference_is_asked_at_a_wider_interval_for_it_is_asked_often():
    """At 95 % the worse end would be -4 %, within the 5 % that may be lost in all."""
    gain = between(-0.04, 0.04)
    reference = EQUAL | {PERPLEXITY: gain}
    assert verdict(evidence(champion=BETTER, reference=reference)) is HOLD
    assert verdict(evidence(champion=EQUAL | {PERPLEXITY: sure(0.04)})) is PROMOTE
    (check,) = [
        check
        for check in judge(evidence(champion=BETTER, reference=reference), GATE).checks
        if not check.passed
    ]
    assert check.low == pytest.approx(-0.04 * 3.883 / 2.093, rel=0.01)
    assert "99.9% interval" in check.text


def test_what_is_measurably_worse_is_said_once():
    judgement = judge(evidence(champion=EQUAL | {PERPLEXITY: sure(-0.5)}), GATE)
    assert judgement.verdict is REJECT
    assert judgement.reasons == (
        "perplexity rises by 50.0% against champion (as a fall, 95% interval -50.0% to -50.0%); "
        "the worse end must be at least -2.0%: FAILED",
    )


@pytest.mark.parametrize("measure", [PERPLEXITY, RIGHT, ROUGE_L, STYLE, MEANING])
def test_a_figure_that_is_no_number_is_held_wherever_it_is(measure):
    nan = NO_NUMBER
    for found in (
        evidence(base=gains() | {measure: nan}),
        evidence(champion=BETTER | {measure: nan}),
        evidence(champion=BETTER, reference=BETTER | {measure: nan}),
    ):
        assert verdict(found) is HOLD
        assert "every figure is a number" in failed(found)


NO_NUMBER = Estimate(value=math.nan, low=math.nan, high=math.nan, error=math.nan, groups=20)


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (replace(evidence(), copies=NO_NUMBER), "no mere copying"),
        (evidence(recall=NO_NUMBER), "retrieval"),
        (
            replace(evidence(), further=(hard_limit("leaks", NO_NUMBER, "leaks", most=0.1),)),
            "leaks",
        ),
    ],
)
def test_a_hard_limit_on_what_is_no_number_holds_and_rejects_nobody(found, name):
    assert failed(found) == {name, "every figure is a number"}
    assert verdict(found) is HOLD


def test_a_figure_of_a_further_check_that_is_no_number_is_held_even_where_it_passes():
    passed = Check(
        name="odd", passed=True, otherwise=REJECT, measured=math.nan, threshold=0, text="odd"
    )
    assert verdict(replace(evidence(), further=(passed,))) is HOLD


def test_a_hard_limit_says_what_is_allowed_and_rejects_beyond_it_only():
    most = hard_limit("leaks", sure(0.1), "10.0% leak", most=0.1)
    assert (most.passed, most.text) == (True, "10.0% leak, at most 10.0% allowed: passed")
    over = hard_limit("leaks", between(0.0, 0.3), "15.0% leak", most=0.1)
    assert (over.passed, over.otherwise, over.threshold) == (False, REJECT, 0.1)
    assert (over.low, over.measured, over.high) == (0.0, 0.15, 0.3)
    least = hard_limit("kept", 0.2, "20.0% kept", least=0.2)
    assert (least.passed, least.text) == (True, "20.0% kept, at least 20.0% asked: passed")
    under = hard_limit("kept", 0.19, "19.0% kept", least=0.2)
    assert (under.passed, under.otherwise, under.threshold, under.low) == (False, REJECT, 0.2, None)


def test_the_worse_end_decides_and_not_the_average():
    shaky = gains() | {PERPLEXITY: between(-0.1, 0.7, value=0.3)}
    assert failed(evidence(base=shaky)) == {"perplexity against base"}
    assert verdict(evidence(base=shaky)) is HOLD


def test_the_base_need_not_be_matched_in_everything_but_a_measured_loss_tells():
    """Of a small set the worse end says little; only the whole interval below the limit does."""
    wide = gains() | {ROUGE_L: between(-0.3, 0.2), STYLE: between(-0.4, -0.04)}
    assert verdict(evidence(base=wide)) is PROMOTE
    assert verdict(evidence(base=wide | {STYLE: between(-0.4, -0.06)})) is REJECT


def test_a_set_that_is_too_small_says_how_many_documents_would_do():
    noisy = EQUAL | {PERPLEXITY: between(-0.1, 0.12, groups=20)}
    judgement = judge(evidence(champion=noisy), GATE)
    assert judgement.verdict is HOLD
    assert not judgement.power.is_enough
    assert judgement.power.needed > 100
    assert f"about {judgement.power.needed} document groups" in judgement.reasons[-1]
    enough = judge(evidence(champion=EQUAL | {PERPLEXITY: between(-0.01, 0.012)}), GATE)
    assert enough.power.is_enough
    assert len(enough.reasons) == 1


def test_every_line_says_value_interval_and_threshold():
    shaky = gains() | {PERPLEXITY: Estimate(value=0.312, low=0.289, high=0.334)}
    checks = judge(evidence(base=shaky, champion=gains()), GATE).checks
    lines = {check.name: check.text for check in checks}
    assert lines["perplexity against base"] == (
        "perplexity falls by 31.2% against base (95% interval 28.9% to 33.4%); "
        "the worse end must be at least 2.0%: passed"
    )
    assert lines["ROUGE-L against champion"] == (
        "ROUGE-L changes by +0.050 against champion (95% interval +0.050 to +0.050); "
        "the worse end must be at least -0.020: passed"
    )
    assert all(text.endswith((": passed", ": FAILED")) for text in lines.values())


@given(st.floats(-1, 0.5), st.floats(0, 0.5), st.floats(0, 0.2), st.integers(0, 2))
def test_a_better_candidate_never_fares_worse(gain, more, width, new_documents):
    order = [REJECT, HOLD, PROMOTE]

    def place(value):
        champion = EQUAL | {PERPLEXITY: between(value - width, value + width)}
        return order.index(verdict(evidence(champion=champion, new_documents=new_documents)))

    assert place(gain + more) >= place(gain)


def test_the_total_that_may_be_lost_is_no_less_than_one_promotion_may():
    with pytest.raises(ValidationError, match=r"max_total_loss 0\.01 is less than the 0\.02"):
        GateSection(max_total_loss=0.01)
    with pytest.raises(ValidationError, match="max_total_loss"):
        GateSection(primary="answers_right")
    assert GateSection(primary="answers_right", max_total_loss=0.1).tolerances[RIGHT] == 0.1
