"""Rules: what is started, once, and what is held back for which reason."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from tests.twin.monitoring.seen import DAY, HOUR, NOW, measure
from twin.domain.monitoring import Held, MonitoringState, Record, Standing, Start
from twin.monitoring.accepted import ACCEPTED
from twin.monitoring.decide import REMEMBERED, decide, remember
from twin.recipes.monitoring import MonitoringSection, TrainingRule

G, B, U = Standing.GOOD, Standing.BAD, Standing.UNKNOWN


def section(*, paused=False, **training):
    rules = {"training": {"cool_down_days": 7, **training}}
    return MonitoringSection.model_validate({"paused": paused, "rules": rules})


def state(*bad, starts=(), since=NOW, now=B, cause=""):
    records = {
        name: Record(standing=B, since=since, last=measure(name, now, cause=cause)) for name in bad
    }
    return MonitoringState(recipe="tiny", records=records, starts=tuple(starts))


def decided(found, rules=None, at=NOW):
    return [
        (each.rule, "start" if isinstance(each, Start) else each.why_not)
        for each in decide(found, rules or section(), at)
    ]


def earlier(rule="training", *, ago=30 * DAY, hours=4.0, causes=()):
    return Start(rule=rule, pipeline=rule, at=NOW - ago, reason="", gpu_hours=hours, causes=causes)


def test_each_ground_starts_its_pipeline_with_its_reason():
    assert decided(state("index.behind")) == [("features", "start")]
    assert decided(state("samples.behind")) == [("datasets", "start")]
    for ground in ("data.changed", "drift.questions", "feedback"):
        (found,) = decide(state(ground), section(), NOW)
        assert (found.rule, found.pipeline) == ("training", "training")
        assert found.reason == f"{ground} is bad"
        assert found.gpu_hours == 4.0
    for effect in ("drift.answer_length", "drift.grounded", "drift.languages", "live.errors"):
        assert decided(state(effect)) == []


def test_a_rule_that_the_recipe_leaves_out_starts_nothing():
    off = section(changed=None, drift=False, feedback_below=None)
    assert decided(state("data.changed", "drift.questions", "feedback"), off) == []
    none = MonitoringSection.model_validate({"rules": {"features": False}})
    assert decided(state("data.changed", "index.behind", "samples.behind"), none) == []


@pytest.mark.parametrize("now", [U, G])
def test_what_is_unknown_or_good_by_now_starts_nothing(now):
    assert decided(state("data.changed", "index.behind", now=now)) == []


def test_the_same_cause_starts_nothing_twice():
    bad = state("feedback", since=NOW - DAY)
    after = remember(bad, decide(bad, section(), NOW - 20 * DAY), NOW)
    assert decided(after) == [("training", "the same cause has started it before")]
    again = after.model_copy(update={"records": state("feedback", since=NOW).records})
    assert decided(again) == [("training", "start")]


def test_between_two_starts_lies_a_pause():
    late, early = earlier(ago=7 * DAY), earlier(ago=7 * DAY - HOUR)
    assert decided(state("data.changed", starts=[late])) == [("training", "start")]
    assert decided(state("data.changed", starts=[early])) == [
        ("training", "paused until 2026-05-01 13:00 UTC")
    ]
    features = earlier("features", ago=5 * HOUR)
    [(_, why)] = decided(state("index.behind", starts=[features]))
    assert why.startswith("paused until")
    assert decided(state("data.changed", starts=[features])) == [("training", "start")]


def test_a_month_has_a_budget_of_hours_and_of_money():
    rules = section(cool_down_days=0, budget={"gpu_hours": 12, "gpu_hours_a_run": 4})
    spent = [earlier(ago=HOUR), earlier(ago=2 * HOUR)]
    assert decided(state("feedback", starts=spent), rules) == [("training", "start")]
    spent.append(earlier(ago=3 * HOUR))
    [(_, why)] = decided(state("feedback", starts=spent), rules)
    assert why == "the month's budget of 12 GPU hours: 12 are spent"
    # April's do not count in May.
    before = [earlier(ago=DAY) for _ in range(3)]
    assert decided(state("feedback", starts=before), rules) == [("training", "start")]
    priced = section(cool_down_days=0, budget={"price": 3, "money": 23})
    [(_, why)] = decided(state("feedback", starts=[earlier(ago=HOUR)]), priced)
    assert why == "the month's budget of 23: 12 are spent"
    enough = section(cool_down_days=0, budget={"price": 3, "money": 24})
    assert decided(state("feedback", starts=[earlier(ago=HOUR)]), enough) == [("training", "start")]


def test_a_training_waits_for_what_it_is_made_of():
    held = ("training", "index and samples are brought up to date first")
    assert decided(state("index.behind", "data.changed")) == [("features", "start"), held]
    assert decided(state("samples.behind", "data.changed")) == [("datasets", "start"), held]
    assert decided(state("index.behind", "samples.behind")) == [("features", "start")]


@pytest.mark.parametrize("name", ["index.behind", "samples.behind"])
def test_a_training_waits_while_nobody_knows_what_it_is_made_of(name):
    found = state("data.changed")
    unknown = Record(since=NOW, last=measure(name, U))
    found = found.model_copy(update={"records": {**found.records, name: unknown}})
    assert decided(found) == [("training", "index and samples are brought up to date first")]
    good = found.model_copy(
        update={"records": {**found.records, name: Record(since=NOW, last=measure(name, G))}}
    )
    assert decided(good) == [("training", "start")]


def test_one_switch_pauses_all():
    found = decide(state("index.behind", "data.changed"), section(paused=True), NOW)
    assert [each.why_not for each in found if isinstance(each, Held)] == ["monitoring.paused"] * 2


def test_a_training_gives_drift_a_new_reference_and_old_starts_are_forgotten():
    old, kept = earlier(ago=100 * DAY), earlier(ago=99 * DAY)
    bad = state("drift.questions", starts=[old, kept]).model_copy(
        update={"reference_until": NOW - timedelta(days=3)}
    )
    after = remember(bad, decide(bad, section(), NOW), NOW)
    assert [each.at for each in after.starts] == [kept.at, NOW]
    assert (after.reference_until, after.reference_since) == (None, NOW)
    held = remember(bad, decide(bad, section(paused=True), NOW), NOW)
    assert (held.reference_until, held.reference_since) == (bad.reference_until, None)


def test_a_start_has_one_run_whenever_it_is_told():
    assert earlier(ago=HOUR).run_id == "monitoring__training__2026-05-01T11:00:00"


def test_a_budget_that_no_run_fits_is_refused():
    with pytest.raises(ValueError, match="nothing would ever be trained"):
        section(budget={"gpu_hours": 3, "gpu_hours_a_run": 4})


def test_a_pause_is_shorter_than_starts_are_remembered():
    longest = TrainingRule(cool_down_days=90).cool_down_days
    assert timedelta(days=longest) < REMEMBERED
    with pytest.raises(ValidationError, match="less than or equal to 90"):
        TrainingRule(cool_down_days=90.1)


def online(**rule):
    rules = {
        "online": {
            "least_pairs": 5,
            "hour": 12,
            "budget": {"gpu_hours": 3, "gpu_hours_a_run": 1},
            **rule,
        }
    }
    return MonitoringSection.model_validate({"rules": rules})


def waiting(pairs, *bad, cause="c", starts=()):
    """A state in which so many accepted pairs wait; None: unknown."""
    last = measure(ACCEPTED, G if pairs is not None else U, value=pairs, cause=cause)
    found = state(*bad, starts=starts)
    records = {**found.records, ACCEPTED: Record(standing=G, since=NOW, last=last)}
    return found.model_copy(update={"records": records})


@pytest.mark.parametrize(
    ("pairs", "outcome"), [(5.0, [("online", "start")]), (4.0, []), (None, [])]
)
def test_enough_accepted_feedback_starts_a_round_of_the_training_pipeline(pairs, outcome):
    found = decide(waiting(pairs), online(), NOW)
    assert decided(waiting(pairs), online()) == outcome
    for each in found:
        assert (each.pipeline, each.causes, each.gpu_hours) == ("training", ("c",), 1.0)
        assert each.run_id.startswith("monitoring__online__")


def test_without_its_rule_accepted_feedback_starts_nothing():
    assert decided(waiting(99.0)) == []


def test_a_round_begins_in_its_hour():
    assert decided(waiting(5.0), online(hour=11)) == [
        ("online", "it begins between 11:00 and 11:59 UTC")
    ]
    assert decided(waiting(5.0), online(hour=11), NOW - HOUR) == [("online", "start")]


def test_a_round_comes_once_for_the_same_pairs():
    before = [earlier("online", causes=["c"])]
    assert decided(waiting(5.0, starts=before), online()) == [
        ("online", "the same cause has started it before")
    ]


@pytest.mark.parametrize("rule", ["training", "online"])
@pytest.mark.parametrize(("ago", "starts"), [(DAY, True), (DAY - timedelta(seconds=1), False)])
def test_a_round_waits_after_any_training(rule, ago, starts):
    before = Start(rule=rule, pipeline="training", at=NOW - ago, reason="", gpu_hours=0.5)
    [(_, outcome)] = decided(waiting(5.0, starts=[before]), online())
    assert (outcome == "start") is starts
    assert starts or outcome.startswith("paused until")


def test_a_round_waits_for_the_training_that_the_same_look_starts():
    rules = online().rules.model_copy(update={"training": TrainingRule()})
    both = online().model_copy(update={"rules": rules})
    found = decided(waiting(5.0, "data.changed"), both)
    assert found[0] == ("training", "start")
    assert found[1][1].startswith("paused until")


def test_a_round_has_a_budget_of_its_own_and_needs_an_index_and_samples_of_today():
    spent = [earlier("online", ago=n * DAY, hours=1.0) for n in (2, 3, 4)]
    at = NOW.replace(day=20)
    spent = [each.model_copy(update={"at": at - n * DAY}) for n, each in enumerate(spent, 2)]
    assert (
        "budget of 3 GPU hours: 3 are spent"
        in decided(waiting(5.0, starts=spent), online(), at)[0][1]
    )
    assert decided(waiting(5.0, starts=spent[1:]), online(), at) == [("online", "start")]
    behind = decided(waiting(5.0, "samples.behind"), online())
    assert behind[-1] == ("online", "index and samples are brought up to date first")
    paused = online().model_copy(update={"paused": True})
    assert decided(waiting(5.0), paused) == [("online", "monitoring.paused")]


def test_a_round_gives_drift_a_new_reference():
    after = remember(waiting(5.0), decide(waiting(5.0), online(), NOW), NOW)
    assert (after.reference_since, after.reference_until) == (NOW, None)


@pytest.mark.parametrize("name", ["training", "online"])
def test_a_budget_that_fits_no_run_is_refused(name):
    rules = {name: {"budget": {"gpu_hours": 1, "gpu_hours_a_run": 2}}}
    with pytest.raises(ValidationError, match=rf"rules\.{name}\.budget"):
        MonitoringSection.model_validate({"rules": rules})
