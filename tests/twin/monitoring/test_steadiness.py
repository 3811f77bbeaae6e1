"""One alert and one recovery, and nothing of what could not be measured."""

import pytest

from tests.twin.monitoring.seen import HOUR, NOW, measure
from twin.domain.monitoring import Standing
from twin.monitoring.steadiness import steady
from twin.recipes.monitoring import MonitoringSection

G, B, U = Standing.GOOD, Standing.BAD, Standing.UNKNOWN
SECTION = MonitoringSection(alert_after=2, recover_after=3)


def events(standings, name="feedback", section=SECTION):
    """Number of each look that people were told of, and as what."""
    record, told = None, []
    for number, standing in enumerate(standings):
        record, event = steady(record, measure(name, standing), NOW + number * HOUR, section)
        if event:
            told.append((number, event.kind))
    return told, record


@pytest.mark.parametrize(
    ("standings", "expected"),
    [
        ([G, B, G, B, G], []),
        ([B, B], [(1, "alert")]),
        ([G, B, B, B, B, G, G, B, G, G, G], [(2, "alert"), (10, "recovery")]),
        ([B, B, G, G, G, B, B], [(1, "alert"), (4, "recovery"), (6, "alert")]),
        ([U, U, U], []),
        ([B, U, U, B], [(3, "alert")]),
        ([B, B, U, U, U, U], [(1, "alert")]),
        ([B, B, G, U, G, U, G], [(1, "alert"), (6, "recovery")]),
    ],
)
def test_what_people_are_told(standings, expected):
    assert events(standings)[0] == expected


def test_a_store_that_is_away_for_one_look_is_one_alert_and_one_recovery():
    section = MonitoringSection(recover_after=1)
    told, _ = events([G, B, G, G], "component.warehouse", section)
    assert told == [(1, "alert"), (2, "recovery")]
    assert events([G, B, G, G], "component.index")[0] == [(1, "alert"), (2, "recovery")]


def test_a_recovery_says_since_when_it_was_bad():
    section = MonitoringSection(alert_after=1, recover_after=1)
    record, alert = steady(None, measure(standing=B), NOW, section)
    _, recovery = steady(record, measure(standing=G), NOW + 5 * HOUR, section)
    assert (alert.since, alert.at) == (NOW, NOW)
    assert (recovery.since, recovery.at) == (NOW, NOW + 5 * HOUR)


def test_the_last_look_is_shown_whatever_it_found():
    _, record = events([B, B, U])
    assert (record.standing, record.last.standing) == (B, U)
