"""Airflow's page reads states by classes of its own: they understand what a rollout writes."""

from datetime import UTC, datetime, timedelta

from include.twin_page.state import RolloutState as Shown
from twin.domain.rollout import Lease, Progress, RolloutEvent, RolloutState, ServedVersion
from twin.rollout.transitions import dark, shifted

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def served(number: str) -> ServedVersion:
    return ServedVersion(
        version=number, weights_uri=f"s3://b/{number}", weights_digest="d", recipe={"name": "a"}
    )


def shown(state: RolloutState) -> Shown:
    return Shown.model_validate_json(state.model_dump_json())


def test_every_field_that_the_page_shows_is_one_that_a_rollout_writes():
    assert set(Shown.model_fields) <= set(RolloutState.model_fields)
    for mine, theirs in (("progress", Progress), ("lease", Lease), ("history", RolloutEvent)):
        kind = Shown.model_fields[mine].annotation
        (model,) = [each for each in kind.__args__ if hasattr(each, "model_fields")]
        assert set(model.model_fields) <= set(theirs.model_fields), mine


def test_a_state_in_the_middle_of_a_rollout():
    state = RolloutState(
        model="twin-a",
        generation=5,
        versions=(served("2"), served("3")),
        weights={"2": 75, "3": 25},
        previous=served("1"),
        warm=served("1"),
        warm_until=NOW + timedelta(hours=1),
        lease=Lease(token="t", run_id="r", place="p", pid=1, expires=NOW + timedelta(seconds=30)),
        progress=Progress(version="3", step="25%", since=NOW, figures=("errors: passed",)),
        history=(RolloutEvent(time=NOW, run_id="r", event="25%", version="3"),),
    )
    page = shown(state)
    assert [(row.version, row.share, row.role) for row in page.rows()] == [
        ("2", 75, "serves"),
        ("3", 25, "is brought in"),
        ("1", 0, "kept warm"),
    ]
    assert page.actions(NOW) == {"pause": "3", "abort": "3"}
    # The lease ends at its moment, as `twin.rollout.lease.is_free` has it.
    assert page.actions(NOW + timedelta(seconds=30)) == {"abort": "3"}
    assert page.progress is not None
    assert page.progress.figures == ("errors: passed",)


def test_two_configurations_of_one_version_are_told_apart():
    other = served("2").model_copy(update={"name": "2-0123abcd"})
    state = RolloutState(
        model="twin-a", versions=(served("2"), other), weights={"2": 75, "2-0123abcd": 25}
    )
    rows = [(row.version, row.share, row.role) for row in shown(state).rows()]
    assert rows == [("2", 75, "serves"), ("2-0123abcd", 25, "is brought in")]
    assert shown(state).actions(NOW) == {"abort": "2-0123abcd"}
    kept = RolloutState(model="twin-a", versions=(other,), weights={"2-0123abcd": 100})
    kept = kept.model_copy(update={"warm": served("2"), "previous": served("2")})
    rows = [(row.version, row.share, row.role) for row in shown(kept).rows()]
    assert rows == [("2-0123abcd", 100, "serves"), ("2", 0, "kept warm")]
    assert shown(kept).actions(NOW) == {"rollback": "2"}


def test_a_state_of_older_code_has_numbers_alone():
    old = Shown.model_validate(
        {"model": "twin-a", "versions": [{"version": "2"}], "weights": {"2": 100}}
    )
    assert [(row.version, row.share) for row in old.rows()] == [("2", 100)]


def test_a_settled_state_goes_back_to_where_a_rollback_goes():
    state = RolloutState(
        model="twin-a", versions=(served("2"),), weights={"2": 100}, previous=served("1")
    )
    target = state.rollback_target
    assert target is not None
    assert shown(state).actions(NOW) == {"rollback": target.version}
    assert shown(RolloutState(model="twin-a")).actions(NOW) == {}


def test_a_first_rollout_that_was_killed_can_be_ended():
    state = dark(RolloutState(model="twin-a"), served("1"))
    page = shown(state)
    assert page.is_half_done
    assert page.actions(NOW) == {"abort": "1"}
    assert [(row.version, row.share, row.role) for row in page.rows()] == [
        ("1", 0, "is brought in")
    ]
    assert not shown(shifted(state, served("1"), 100)).is_half_done
    assert not shown(RolloutState(model="twin-a")).is_half_done
