"""A simulated month: what monitoring starts, beside what would have been right."""

import pytest

from tests.twin.monitoring import month
from tests.twin.monitoring.month import Month
from twin.recipes.monitoring import MonitoringSection

SECTION = MonitoringSection.model_validate(
    {
        "feedback_days": 4,
        "rules": {"training": {"cool_down_days": 5, "changed": 0.2}},
    }
)

#: What is right: pipeline, first and last day at which it may be started.
RIGHT = [
    ("features", month.CHAIN_BREAKS + 3 / 24, month.CHAIN_BREAKS + 0.3),
    ("datasets", month.CHAIN_BREAKS + 3 / 24, month.CHAIN_BREAKS + 0.5),
    ("training", month.EDITS, month.EDITS + 1),
    ("training", month.QUESTIONS_CHANGE, month.QUESTIONS_CHANGE + 2),
    ("training", month.PEOPLE_DISLIKE, month.PEOPLE_DISLIKE + 4),
]


def missed_and_wrong(starts):
    """What is right and was not started, and what was started and is not right."""
    left, missed = list(starts), []
    for pipeline, first, last in RIGHT:
        found = [each for each in left if each[1] == pipeline and first <= each[0] <= last]
        if found:
            left.remove(found[0])
        else:
            missed.append((pipeline, first))
    return missed, left


@pytest.fixture(scope="module")
def lived():
    return Month(SECTION, seed=1).run()


def test_the_right_pipelines_are_started_and_at_most_one_more(lived):
    for start in lived.starts:
        print(f"day {start[0]:5.2f}: {start[1]:9} {start[2]}")
    missed, wrong = missed_and_wrong(lived.starts)
    assert missed == []
    assert len(wrong) <= 1, wrong


def test_a_store_that_is_away_is_one_alert_and_one_recovery_and_no_drift(lived):
    for name, day in {
        "endpoint": month.ENDPOINT_AWAY,
        "warehouse": month.WAREHOUSE_AWAY,
        "index": month.INDEX_AWAY,
    }.items():
        found = [(when, each.kind) for when, each in lived.events if each.measure.endswith(name)]
        assert [kind for _, kind in found] == ["alert", "recovery"]
        assert found[0][0] == pytest.approx(day)
        others = [each for when, each in lived.events if day <= when < day + 0.2]
        assert {each.measure for each in others} == {f"component.{name}"}


def test_people_are_told_of_each_change_once(lived):
    told = [each.measure for _, each in lived.events if each.kind == "alert"]
    assert told.count("drift.questions") <= 2
    assert 1 <= told.count("feedback") <= 2
    assert told.count("index.behind") == 1


def test_hostile_callers_start_nothing(lived):
    quiet = range(month.TROLLS_COME, month.QUESTIONS_CHANGE)
    assert [each for each in lived.starts if int(each[0]) in quiet] == []


def test_paused_it_looks_and_tells_and_starts_nothing():
    section = SECTION.model_copy(update={"paused": True})
    found = Month(section, seed=1, days=10).run()
    assert found.starts == []
    assert {why for _, _, why in found.held} >= {"monitoring.paused"}
    assert found.events


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(2, 12))
def test_in_other_months_too(seed):
    """Ten more draws of the same month: that the first is no luck."""
    missed, wrong = missed_and_wrong(Month(SECTION, seed=seed).run().starts)
    assert missed == []
    assert len(wrong) <= 1, wrong
