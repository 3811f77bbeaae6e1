"""What one more look makes of what is remembered."""

from datetime import timedelta

import pytest

from tests.twin.monitoring.seen import DAY, HOUR, NOW, measure
from twin.domain.monitoring import Event, MonitoringState, Standing
from twin.monitoring import currency, drift, live, opinion
from twin.monitoring.canaries import CANARIES
from twin.monitoring.remembering import RUNBOOK, looked, newest_window, reference_window, told
from twin.recipes.monitoring import MonitoringSection

G, B, U = Standing.GOOD, Standing.BAD, Standing.UNKNOWN
SECTION = MonitoringSection(
    alert_after=1, owner="Ann", drift={"window_hours": 24, "reference_days": 14}
)


def state(**more):
    return MonitoringState(recipe="tiny", **more)


def after(standing, before=None, at=NOW):
    return looked(before or state(), [measure("drift.questions", standing)], at, SECTION)


def test_windows_lie_end_to_end_and_go_with_the_clock():
    begin, end = reference_window(state(), NOW, SECTION)
    assert end == newest_window(NOW, SECTION) == NOW - DAY
    assert begin == NOW - 15 * DAY


def test_the_reference_stays_while_drift_lasts_and_a_store_is_away():
    bad = after(B)
    assert bad.reference_until == NOW - DAY
    later = after(U, after(B, bad, NOW + HOUR), NOW + 2 * HOUR)
    assert later.reference_until == NOW - DAY
    assert reference_window(later, NOW + 9 * DAY, SECTION) == (NOW - 15 * DAY, NOW - DAY)
    section = SECTION.model_copy(update={"recover_after": 2})
    once = looked(later, [measure("drift.questions", G)], NOW, section)
    twice = looked(once, [measure("drift.questions", G)], NOW, section)
    assert (once.reference_until, twice.reference_until) == (NOW - DAY, None)
    assert after(U).reference_until is None


def test_only_what_is_asked_holds_the_reference():
    """A new version's answers are longer for good: they would hold it for ever."""
    held = {
        name
        for name in drift.ALL
        if looked(state(), [measure(name, B)], NOW, SECTION).reference_until
    }
    assert held == {"drift.questions", "drift.languages"}


@pytest.mark.parametrize("standing", [B, U])
def test_a_reference_whose_answers_are_gone_is_let_go(standing):
    bad = after(B)

    def held(days, kept):
        later = [measure("drift.questions", standing)]
        return looked(bad, later, NOW + days * DAY, SECTION, "", kept).reference_until

    # It begins fifteen days before the first look.
    assert held(15, 30) == held(999, None) == NOW - DAY
    assert held(15.1, 30) is None
    assert held(3, 17) is None


def test_after_a_training_the_reference_begins_with_it():
    found = state(reference_since=NOW - 3 * DAY)
    assert reference_window(found, NOW, SECTION) == (NOW - 3 * DAY, NOW - DAY)
    long_ago = state(reference_since=NOW - 90 * DAY)
    assert reference_window(long_ago, NOW, SECTION) == reference_window(state(), NOW, SECTION)


def figure(count, standing=G):
    return measure("live.refused", standing, value=0.1, low=0.0, high=0.2, count=count)


def test_the_first_figure_of_enough_callers_is_the_baseline_and_stays():
    few = looked(state(), [figure(29)], NOW, SECTION)
    assert few.baselines == {}
    enough = looked(few, [figure(30)], NOW, SECTION)
    assert enough.baselines["live.refused"].high == 0.2
    other = figure(900).model_copy(update={"value": 0.9})
    assert looked(enough, [other], NOW, SECTION).baselines == enough.baselines
    assert looked(state(), [measure("live.errors", G, value=0.1, low=0, high=1, count=99)], NOW,
                  SECTION).baselines == {}  # fmt: skip


def test_a_measure_that_is_no_longer_taken_is_dropped():
    before = looked(state(), [measure("fresh.old", B), measure("feedback")], NOW, SECTION)
    assert list(looked(before, [measure("feedback")], NOW, SECTION).records) == ["feedback"]


def test_a_look_that_runs_again_tells_again_and_another_one_does_not():
    bad = [measure("feedback", B)]
    first = looked(state(), bad, NOW, SECTION, "r1")
    assert [each.measure for each in first.events] == ["feedback"]
    assert looked(first, bad, NOW, SECTION, "r1").events == first.events
    assert looked(first, bad, NOW, SECTION, "r2").events == ()


def test_a_look_that_runs_again_counts_what_it_measures_once():
    section = SECTION.model_copy(update={"alert_after": 3})

    def look(before, standing, run_id):
        return looked(before, [measure("feedback", standing)], NOW, section, run_id)

    unknown = look(look(state(), G, "r0"), U, "r1")
    first = look(unknown, B, "r1")  # what it could not take before
    again = look(look(look(first, B, "r1"), U, "r1"), B, "r1")
    assert first.records == again.records
    assert (first.records["feedback"].streak, again.events) == (1, ())
    # Without an id nobody knows that it is the same look.
    assert look(look(first, B, ""), B, "").records["feedback"].standing is B


def test_people_read_what_it_is_since_when_and_whose():
    event = Event(kind="alert", measure="feedback", since=NOW, at=NOW + timedelta(1), says="low")
    assert told(event, SECTION, "tiny") == (
        "tiny: feedback is bad (bad since 2026-05-01 12:00 UTC): low. Owner: Ann. "
        "What to do: docs/pages/how-to/keep-up-to-date.md#feedback"
    )
    drifted = event.model_copy(update={"measure": "drift.questions"})
    assert told(drifted, SECTION, "tiny").endswith("keep-up-to-date.md#drift")
    recovered = event.model_copy(update={"kind": "recovery"})
    assert "is good again" in told(recovered, MonitoringSection(), "tiny")
    assert "Owner" not in told(recovered, MonitoringSection(), "tiny")
    assert "What to do" not in told(recovered, SECTION, "tiny")


def test_the_runbook_has_a_heading_for_every_kind_of_measure(root):
    page = (root / RUNBOOK).read_text(encoding="utf-8")
    headings = {line.removeprefix("### ").strip() for line in page.splitlines()}
    names = (*drift.ALL, *live.ALL, opinion.FEEDBACK, currency.INDEX, currency.SAMPLES,
             currency.CHANGED, CANARIES, "fresh.blog", "component.index")  # fmt: skip
    assert {name.partition(".")[0] for name in names} <= headings
