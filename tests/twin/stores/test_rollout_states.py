import itertools

import pytest
from pydantic import ValidationError

from twin.domain.errors import BadDataError, TryAgainError
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
    RolloutStates(settings).save(state.model_copy(update={"model": "twin-b"}))
    assert RolloutStates(settings).load("twin-a") == state.model_copy(update={"generation": 1})
    assert [item.model for item in RolloutStates(settings).all()] == ["twin-a", "twin-b"]


def test_a_file_that_holds_something_else_is_named(settings):
    states = RolloutStates(settings)
    states.save(RolloutState(model="twin-a", versions=(SEVEN,)))
    path = settings.home / "files" / "rollouts" / "twin-a.json"
    path.write_text('{"model": ')
    with pytest.raises(BadDataError, match=r"twin-a.json is no rollout state"):
        states.load("twin-a")


@pytest.mark.parametrize("weights", [{"8": 100}, {"7": 99}, {"7": 0}])
def test_weights_are_of_running_versions_and_sum_to_all(weights):
    with pytest.raises(ValidationError):
        RolloutState(model="twin-a", versions=(SEVEN,), weights=weights)


def test_a_change_is_made_from_the_newest_state(settings):
    """Another writer comes in between: its change is kept, and ours is made from it."""
    states, other = RolloutStates(settings), RolloutStates(settings)
    came = []

    def change(state):
        if not came:
            came.append(other.change("twin-a", lambda s: s.model_copy(update={"wish": "pause"})))
        return state.model_copy(update={"versions": (SEVEN,)})

    state = states.change("twin-a", change)
    assert (state.wish, state.versions) == ("pause", (SEVEN,))
    assert states.load("twin-a") == state


def test_a_writer_that_is_never_first_gives_up(settings):
    states, numbers = RolloutStates(settings), itertools.count(1)

    def change(state):
        versions = (SEVEN.model_copy(update={"version": str(next(numbers))}),)
        RolloutStates(settings).save(state.model_copy(update={"versions": versions}))
        return state.model_copy(update={"wish": "abort"})

    with pytest.raises(TryAgainError, match="keeps being changed by others"):
        states.change("twin-a", change)
    assert states.load("twin-a").wish is None


def test_the_generation_counts_changes_of_what_is_in_service(settings):
    states = RolloutStates(settings)

    def put(**update):
        return states.change("twin-a", lambda state: state.model_copy(update=update)).generation

    assert put(versions=(SEVEN,)) == 1
    assert put(weights={"7": 100}) == 2
    assert put(weights={"7": 100}) == 2
    assert put(wish="pause") == 2
    assert put(shadow=5) == 3
    assert put(warm=SEVEN.model_copy(update={"version": "6", "name": "6"})) == 4


def test_what_changes_nothing_writes_nothing(settings):
    RolloutStates(settings).change("twin-a", lambda state: state)
    assert RolloutStates(settings).models() == []
