"""A version that keeps its share until a person has approved it."""

import pytest

from tests.twin.rollout.serve_in_process import MODEL, Manner
from tests.twin.rollout.test_shift import close_looks, events
from twin.domain.errors import BadDataError, NothingToDo
from twin.rollout.lease import Owner
from twin.rollout.running import AWAITS, approval_request
from twin.rollout.shift import Shift
from twin.rollout.steering import check_brought
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


def test_what_a_person_is_shown(stage):
    state = shifted(dark(stage.state(), stage.two), stage.two, 50)
    asked = approval_request(state)
    assert asked["decision"] == AWAITS
    assert asked["evidence"].startswith("Traffic: version 1: 50%, version 2: 50%.\n\n- nothing")
    stage.roll(stage.two)
    assert "\n- errors: " in approval_request(stage.state())["evidence"]


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
