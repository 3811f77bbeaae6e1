"""What monitoring remembers, in the file store."""

from datetime import UTC, datetime

import pytest

from twin.domain.errors import BadDataError, TryAgainError
from twin.domain.monitoring import (
    Baseline,
    Event,
    Measure,
    MonitoringState,
    Record,
    Standing,
    Start,
)
from twin.stores.files import open_files
from twin.stores.monitoring_states import MonitoringStates

NOW = datetime(2026, 5, 1, tzinfo=UTC)
WHOLE = MonitoringState(
    recipe="tiny",
    checked=NOW,
    records={
        "feedback": Record(
            since=NOW, streak=1, last=Measure(name="feedback", standing=Standing.BAD, says="low")
        )
    },
    baselines={"live.refused": Baseline(value=0.1, low=0, high=0.2, count=40, at=NOW)},
    canaries={"abc": True},
    reference_until=NOW,
    reference_since=NOW,
    starts=(Start(rule="training", pipeline="training", at=NOW, reason="drift"),),
    run_id="r1",
    events=(Event(kind="alert", measure="feedback", since=NOW, at=NOW, says="low"),),
)


def test_a_state_is_read_back_as_it_was_written(settings):
    states = MonitoringStates(settings)
    assert states.load("tiny") == (MonitoringState(recipe="tiny"), None)
    states.save(WHOLE, None)
    found, version = states.load("tiny")
    assert found == WHOLE
    states.save(found.model_copy(update={"run_id": "r2"}), version)
    assert states.load("tiny")[0].run_id == "r2"


@pytest.mark.parametrize("version", [None, "older"])
def test_of_two_looks_at_once_the_second_is_told_to_try_again(settings, version):
    states = MonitoringStates(settings)
    states.save(WHOLE, None)
    with pytest.raises(TryAgainError, match="another look"):
        states.save(WHOLE, version)


def test_what_is_no_state_says_what_to_do(settings):
    open_files(settings).write_text("monitoring/tiny.json", '{"recipe": 3}')
    with pytest.raises(BadDataError, match="delete it"):
        MonitoringStates(settings).load("tiny")
