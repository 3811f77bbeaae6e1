"""A version that keeps its share until a person has approved it."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.twin.rollout.serve_in_process import MODEL, Manner
from tests.twin.rollout.test_shift import close_looks, events
from twin.domain.errors import BadDataError, NothingToDo, TryAgainError
from twin.domain.rollout import Lease
from twin.rollout import shift as shift_module
from twin.rollout import waiting
from twin.rollout.lease import Owner
from twin.rollout.running import AWAITS, approval_request
from twin.rollout.shift import Shift
from twin.rollout.steering import check_brought, check_not_broken_off
from twin.rollout.transitions import awaiting, baseline, dark, shifted
from twin.stores.endpoint import Endpoint
from twin.stores.serve_config import recipe_of

__all__ = ["close_looks"]


@pytest.fixture
def stage(make_stage):
    return make_stage(traffic_steps=[20, 50, 100], rollout={"require_approval": True})


def finish(stage, version):
    with Owner(stage.states, MODEL, "approved") as owner:
        shift = Shift(owner, stage.settings, stage.serve, Endpoint(stage.settings, stage.client))
        return shift.finish(version, recipe_of(version).serving)


def test_it_keeps_its_last_share_and_gets_the_rest_when_approved(stage):
    stage.roll(stage.two)
    state = stage.state()
    assert (state.awaits, state.lease) == ("2", None)
    assert state.progress.step == "waits for approval"
    assert [line.split(":")[0] for line in state.progress.figures][:2] == ["errors", "first_token"]
    assert stage.weights == {"1": 50, "2": 50}
    assert events(stage)[-3:] == ["2 20%", "2 50%", "2 waits for approval"]
    assert finish(stage, stage.two)
    state = stage.state()
    assert stage.weights == {"2": 100}
    assert (state.awaits, state.previous.version) == (None, "1")
    assert state.progress is None
    assert "twin-tiny-v1" not in stage.serve.applications()


def test_the_first_version_is_not_asked_about(stage):
    assert stage.weights == {"1": 100}
    assert stage.state().awaits is None


def test_a_newer_version_takes_the_place_of_one_that_waits(stage):
    stage.roll(stage.two)
    stage.roll(stage.three)
    assert stage.state().awaits == "3"
    assert stage.weights == {"1": 50, "3": 50}
    assert "twin-tiny-v2" not in stage.serve.applications()


def test_one_that_fails_when_it_gets_the_rest_is_backed_out(stage):
    stage.roll(stage.two)
    stage.serve.manners["2"] = Manner(refuses=True, version="1")
    with pytest.raises(BadDataError, match="version 1 serves on"):
        finish(stage, stage.two)
    assert stage.weights == {"1": 100}
    assert stage.state().awaits is None
    assert events(stage)[-1] == "2 failed"


def router_is_away(stage, monkeypatch):
    """The router takes all the traffic over for a moment too late."""

    def late(state, endpoint, attend):
        if state.weights.get("2") == 100:
            raise TryAgainError("replicas are late")
        return waiting.wait_for_weights(state, endpoint, attend)

    monkeypatch.setattr(shift_module, "wait_for_weights", late)


def serve_is_away(stage, monkeypatch):
    def away():
        if stage.state().weights.get("2") == 100:
            raise TryAgainError("Serve does not answer")

    monkeypatch.setattr(stage.serve, "on_apply", away)


def told_to_end(stage, monkeypatch):
    def ended():
        if stage.state().weights.get("2") == 100:
            raise KeyboardInterrupt

    monkeypatch.setattr(stage.serve, "on_apply", ended)


@pytest.mark.parametrize("trouble", [router_is_away, serve_is_away, told_to_end])
def test_an_approval_outlives_whatever_passes(stage, monkeypatch, trouble):
    stage.roll(stage.two)
    before = stage.state()
    with monkeypatch.context() as during:
        trouble(stage, during)
        expected = KeyboardInterrupt if trouble is told_to_end else TryAgainError
        with pytest.raises(expected) as error:
            finish(stage, stage.two)
    if expected is TryAgainError:
        assert "version 2 is not in service (it waits as before)" in str(error.value)
    state = stage.state()
    assert (state.awaits, state.lease, state.versions) == ("2", None, before.versions)
    assert stage.weights == state.weights == {"1": 50, "2": 50}
    # Known by its time as the question that was asked, and shown with the same figures.
    assert state.progress == before.progress
    assert events(stage)[-1] == "2 interrupted"
    assert finish(stage, stage.two)
    assert stage.weights == {"2": 100}


def test_a_version_that_a_killed_promotion_left_half_way_is_told_of(stage):
    stage.roll(stage.two)
    waits = stage.state()
    check_not_broken_off(waits, "2")
    stage.states.change(MODEL, lambda state: shifted(state, stage.two, 100))
    left = stage.state()
    for version in ("2", None):
        with pytest.raises(BadDataError, match="version 2 of twin-tiny in was killed"):
            check_not_broken_off(left, version)
    check_not_broken_off(left, "3")
    check_not_broken_off(baseline(left), "2")
    now = datetime.now(UTC)
    lease = Lease(token="t", run_id="r", place="p", pid=1, expires=now + timedelta(minutes=1))
    check_not_broken_off(left.model_copy(update={"lease": lease}), "2")


def test_what_a_person_is_shown(stage):
    state = shifted(dark(stage.state(), stage.two), stage.two, 50)
    asked = approval_request(state)
    assert asked["decision"] == AWAITS
    assert asked["since"] == ""
    assert asked["evidence"].startswith("Traffic: version 1: 50%, version 2: 50%.\n\n- nothing")
    stage.roll(stage.two)
    asked, state = approval_request(stage.state()), stage.state()
    assert "\n- errors: " in asked["evidence"]
    assert asked["since"] == state.progress.since.isoformat()


def test_whatever_moves_the_traffic_ends_the_waiting(stage):
    state = awaiting(shifted(dark(stage.state(), stage.two), stage.two, 50), stage.two)
    assert state.awaits == "2"
    for after in (baseline(state), shifted(state, stage.two, 100), dark(state, stage.three)):
        assert after.awaits is None


def test_a_version_is_named_to_make_sure_that_it_is_meant(stage):
    check_brought(stage.state(), None)
    stage.roll(stage.two)
    check_brought(stage.state(), "2")
    with pytest.raises(NothingToDo, match="version 1 of twin-tiny is not being brought in"):
        check_brought(stage.state(), "1")
