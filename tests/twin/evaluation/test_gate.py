"""The gate, on evidence of every kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.evaluation.gate import Evidence, judge
from twin.evaluation.measures import DELTA, MEANING, PERPLEXITY, ROUGE_L, STYLE
from twin.evaluation.resampling import Estimate
from twin.evaluation.soundness import Soundness
from twin.recipes import GateSection

GATE = GateSection()


def sure(value):
    return Estimate(value=value, low=value, high=value)


def gains(perplexity=0.2, rouge=0.05, style=0.1, meaning=0.02):
    return {
        PERPLEXITY: sure(perplexity),
        ROUGE_L: sure(rouge),
        STYLE: sure(style),
        MEANING: sure(meaning),
        DELTA: sure(0.0),
    }


def evidence(base=None, champion=None, recall=0.9, **broken):
    against = {"base": base or gains()}
    if champion is not None:
        against["champion"] = champion
    counts = {"empty": 0, "leaking": 0, "looping": 0, **broken}
    return Evidence(
        soundness=Soundness(answers=20, **counts),
        gains=against,
        recall=sure(recall),
        recall_k=5,
    )


def failed(found, gate=GATE):
    return {check.name for check in judge(found, gate) if not check.passed}


def test_a_candidate_that_learned_passes():
    assert failed(evidence()) == set()
    assert failed(evidence(champion=gains(perplexity=0.0, rouge=0.0, style=0.0))) == set()


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (evidence(leaking=1), "no special tokens"),
        (evidence(empty=6), "no empty answers"),
        (evidence(looping=6), "no loops"),
        (evidence(base=gains(perplexity=0.01)), "perplexity against base"),
        (evidence(base=gains(rouge=-0.03)), "ROUGE-L against base"),
        (evidence(base=gains(style=-0.06)), "style similarity against base"),
        (evidence(base=gains(meaning=-0.06)), "semantic similarity against base"),
        (evidence(champion=gains(perplexity=-0.03)), "perplexity against champion"),
        (evidence(champion=gains(rouge=-0.03)), "ROUGE-L against champion"),
        (evidence(recall=0.4), "retrieval"),
    ],
)
def test_each_fault_alone_is_refused_and_named(found, name):
    assert failed(found) == {name}


def test_a_few_broken_answers_are_borne_but_not_a_leak():
    assert failed(evidence(empty=5, looping=5)) == set()
    assert failed(evidence(leaking=1), GateSection(max_broken_share=1.0)) == {"no special tokens"}


def test_the_champion_need_not_be_beaten_but_the_base_must():
    equal = gains(perplexity=0.0, rouge=0.0, style=0.0, meaning=0.0)
    assert failed(evidence(champion=equal)) == set()
    assert failed(evidence(base=equal)) == {"perplexity against base"}


def test_the_worse_end_decides_and_not_the_average():
    shaky = gains() | {PERPLEXITY: Estimate(value=0.3, low=-0.1, high=0.7)}
    assert failed(evidence(base=shaky)) == {"perplexity against base"}


def test_every_line_says_value_interval_and_threshold():
    shaky = gains() | {PERPLEXITY: Estimate(value=0.312, low=0.289, high=0.334)}
    lines = {
        check.name: check.text for check in judge(evidence(base=shaky, champion=gains()), GATE)
    }
    assert lines["perplexity against base"] == (
        "perplexity falls by 31.2% against base (95% interval 28.9% to 33.4%); "
        "the lower end must be at least 2.0%: passed"
    )
    assert lines["ROUGE-L against champion"] == (
        "ROUGE-L changes by +0.050 against champion (95% interval +0.050 to +0.050); "
        "the lower end must be at least -0.020: passed"
    )
    assert all(text.endswith((": passed", ": FAILED")) for text in lines.values())


@given(st.floats(-1, 1), st.floats(0, 0.5), st.floats(0, 0.5))
def test_a_better_candidate_never_fares_worse(gain, more, limit):
    gate = GateSection(min_perplexity_gain=limit)
    if not failed(evidence(base=gains(perplexity=gain)), gate):
        assert not failed(evidence(base=gains(perplexity=gain + more)), gate)
