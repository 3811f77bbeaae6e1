import pytest
from pydantic import ValidationError

from twin.domain.errors import BadDataError
from twin.domain.rollout import RolloutState, ServedVersion
from twin.stores.rollout_states import RolloutStates

SEVEN = ServedVersion(version="7", weights_uri="/w/7", weights_digest="d", recipe={"name": "a"})


def test_a_model_never_rolled_out_has_an_empty_state(settings):
    states = RolloutStates(settings)
    assert states.load("twin-a") == RolloutState(model="twin-a")
    assert states.all() == []


def test_what_is_saved_is_read_back(settings):
    state = RolloutState(model="twin-a", versions=(SEVEN,), weights={"7": 100}, previous=SEVEN)
    RolloutStates(settings).save(state)
    RolloutStates(settings).save(RolloutState(model="twin-b"))
    assert RolloutStates(settings).load("twin-a") == state
    assert [item.model for item in RolloutStates(settings).all()] == ["twin-a", "twin-b"]


def test_a_file_that_holds_something_else_is_named(settings):
    states = RolloutStates(settings)
    states.save(RolloutState(model="twin-a"))
    path = settings.home / "files" / "rollouts" / "twin-a.json"
    path.write_text('{"model": ')
    with pytest.raises(BadDataError, match=r"twin-a.json is no rollout state"):
        states.load("twin-a")


@pytest.mark.parametrize("weights", [{"8": 100}, {"7": 99}, {"7": 0}])
def test_weights_are_of_running_versions_and_sum_to_all(weights):
    with pytest.raises(ValidationError):
        RolloutState(model="twin-a", versions=(SEVEN,), weights=weights)
