from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from twin.domain.observation import Observation, Verdict
from twin.recipes.rollout import DEFAULT_ANALYSIS, AnalysisSection, RolloutSection
from twin.rollout.analysis import measured

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = {"first_seconds": 0.1, "tokens_per_second": 20.0}


def seen(version, number, *, mirrored="", unit=None, **more):
    unit = unit or f"{version}-{number}"
    fields = {**GOOD, **more}
    return Observation(
        number=number, time=NOW, version=version, unit=unit, mirrored=mirrored, **fields
    )


def answers(version, count, **more):
    return [seen(version, number, **more) for number in range(count)]


def look(metric, observations, verdicts=(), old="1", **knobs):
    section = AnalysisSection(metric=metric, **knobs)
    return measured(section, observations, verdicts, "2", old)


BAD = {
    "errors": {"failed": True},
    "first_token": {"first_seconds": 0.5},
    "speed": {"tokens_per_second": 4.0},
    "guardrails": {"cleaned": True},
    "grounded": {"grounded": False},
    "refusals": {"refused": True},
}


@pytest.mark.parametrize("metric", BAD)
def test_what_is_worse_in_one_way_fails_in_that_metric(metric):
    bad = [*answers("1", 30), *answers("2", 30, **BAD[metric])]
    found = look(metric, bad)
    assert (found.outcome, found.pairs) == ("failed", 30)
    assert found.low > 0.05
    assert look(metric, [*answers("1", 40), *answers("2", 40)]).outcome == "passed"
    better = look(metric, [*answers("1", 30, **BAD[metric]), *answers("2", 30)])
    assert better.outcome == "passed", "a running version that is bad is no reason to stay with it"
    others = set(BAD) - {metric, "errors"}
    if metric != "errors":
        assert {look(other, bad).outcome for other in others} <= {"passed", "undecided"}


def test_few_answers_decide_nothing():
    few = [*answers("1", 4), *answers("2", 4, failed=True)]
    assert look("errors", few).outcome == "undecided"
    assert look("errors", []).outcome == "undecided"
    assert look("errors", []).pairs == 0
    assert look("errors", answers("2", 50, failed=True)).pairs == 0, "nothing to compare with"


def test_a_dead_version_is_noticed_within_a_dozen_answers():
    dead = [*answers("1", 12), *answers("2", 12, failed=True)]
    assert look("errors", dead).outcome == "failed"


def test_the_limits_are_the_sections():
    tenth = [
        *answers("1", 200),
        *(seen("2", number, failed=number % 10 == 0) for number in range(200)),
    ]
    assert look("errors", tenth, fails_above=0.3, passes_below=0.3).outcome == "passed"
    assert look("errors", tenth, fails_above=-0.1, passes_below=0.3).outcome == "failed"
    assert look("errors", tenth, fails_above=0.09, passes_below=0.11).outcome == "undecided"
    assert look("errors", tenth, count=7).pairs == 7
    wide, narrow = (look("errors", tenth, confidence=level) for level in (0.999, 0.8))
    assert wide.low < narrow.low <= narrow.difference <= narrow.high < wide.high


def test_slowness_is_by_the_factor():
    three = [*answers("1", 60), *answers("2", 60, first_seconds=0.3, tokens_per_second=7.0)]
    for metric in ("first_token", "speed"):
        assert look(metric, three, factor=2.0).outcome == "failed"
        assert look(metric, three, factor=4.0).outcome == "passed"


def test_an_answer_that_shows_nothing_of_a_metric_is_left_out():
    silent = {"first_seconds": None, "tokens_per_second": None}
    silent_new = [*answers("1", 9), *answers("2", 9, failed=True, **silent)]
    for metric in ("first_token", "speed", "grounded", "refusals", "guardrails"):
        assert look(metric, silent_new).pairs == 0
    refused = [*answers("1", 9), *answers("2", 9, refused=True, grounded=False)]
    assert look("grounded", refused).pairs == 0, "who refuses has nothing to cite"


def test_a_conversation_counts_once():
    chatty = [seen("2", number, unit="same", failed=True) for number in range(50)]
    assert look("errors", [*answers("1", 50), *chatty]).pairs == 1
    first = [seen("2", 1, unit="same"), seen("2", 2, unit="same", failed=True)]
    assert look("errors", [*answers("1", 2), *first]).difference == 0.0, "by its first answer"


def test_of_mirrored_questions_the_two_answers_to_one_are_compared():
    observations = []
    for number in range(30):
        # As slow as the question wants it, for both: the others' pairs would differ.
        slow = {"first_seconds": 0.1 if number % 2 else 1.0}
        observations += [
            seen("1", number, mirrored=f"q{number}", unit=f"u{number}", **slow),
            seen(
                "2",
                number,
                mirrored=f"q{29 - number}",
                unit=f"u{29 - number}",
                **({"first_seconds": 0.1 if (29 - number) % 2 else 1.0}),
            ),
        ]
    found = look("first_token", observations)
    assert (found.pairs, found.difference) == (30, -1.0)
    lonely = [seen("2", 99, mirrored="q99", failed=True)]
    assert look("errors", lonely).pairs == 0, "its other half is not there yet"


def test_without_a_version_before_errors_alone_are_judged():
    alone = answers("2", 40, failed=True, refused=True)
    assert look("errors", alone, old=None).outcome == "failed"
    assert look("refusals", alone, old=None).pairs == 0
    assert look("errors", answers("2", 40), old=None).outcome == "passed"


def test_callers_verdicts_are_compared():
    verdicts = [
        Verdict(version=version, unit=f"{version}-{number}", bad=version == "2")
        for number in range(30)
        for version in ("1", "2")
    ]
    assert look("feedback", [], verdicts).outcome == "failed"
    assert look("feedback", [], [item for item in verdicts if item.version == "1"]).pairs == 0
    twice = [Verdict(version="2", unit="u", bad=True)] * 9
    assert look("feedback", [], [*verdicts[::2], *twice]).pairs == 1


def test_the_figures_are_told_in_a_line():
    line = str(look("errors", [*answers("1", 12), *answers("2", 12, failed=True)]))
    assert line.startswith("errors: failed, +1.00 (+0.")
    assert line.endswith("over 12 pairs")


def test_good_versions_pass_and_are_seldom_stopped():
    """200 rollouts of two versions that are alike, each looked at after every pair."""
    import numpy as np

    numbers = np.random.default_rng(1)
    stopped = 0
    for _ in range(200):
        pairs = [
            seen(version, number, refused=bool(numbers.random() < 0.2))
            for number in range(60)
            for version in ("1", "2")
        ]
        # What has failed once at some moment has failed at the end: ends only move inwards.
        stopped += look("refusals", pairs, fails_above=0.0, passes_below=0.3).outcome == "failed"
    assert stopped <= 4


def test_a_section_that_can_not_be_is_refused():
    with pytest.raises(ValidationError, match="passes_below must not be less"):
        AnalysisSection(metric="errors", fails_above=0.3, passes_below=0.2)
    with pytest.raises(ValidationError, match="metrics given twice: errors"):
        RolloutSection(analysis=[AnalysisSection(metric="errors")] * 2)
    assert {item.metric for item in DEFAULT_ANALYSIS} == {*BAD, "feedback"}
