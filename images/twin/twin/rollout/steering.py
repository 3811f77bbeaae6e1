"""A person's hand on a rollout that runs elsewhere: a wish is left in the state, which it reads."""

from collections.abc import Callable
from datetime import UTC, datetime

from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.rollout import RolloutState, Wish
from twin.rollout.lease import is_free
from twin.rollout.transitions import baseline
from twin.stores.rollout_states import RolloutStates


def wish(states: RolloutStates, model: str, what: Wish, version: str | None = None) -> RolloutState:
    """Leave a wish for the rollout that is under way; returns the state.

    ``pause`` keeps the weights as they are; ``promote`` goes to all the traffic without further
    steps; ``abort`` puts the old weights back. With a ``version`` only if that is brought in.

    Raises:
        NothingToDo: none is under way, or the same was wished before.
    """

    def wished(state: RolloutState) -> RolloutState:
        check_brought(state, version)
        if state.wish == what:
            raise NothingToDo(f"{model}: {what} has been asked for already")
        return state.model_copy(update={"wish": what})

    return states.change(model, _if_under_way(model, wished))


def resume(states: RolloutStates, model: str) -> RolloutState:
    """Let a paused rollout go on; returns the state.

    Raises:
        NothingToDo: none is under way, or it is not paused.
    """

    def resumed(state: RolloutState) -> RolloutState:
        if state.wish != "pause":
            raise NothingToDo(f"the rollout of {model} is not paused")
        return state.model_copy(update={"wish": None})

    return states.change(model, _if_under_way(model, resumed))


def ask_to_end(states: RolloutStates, model: str) -> None:
    """Leave the wish ``abort`` if a rollout is under way that has not got it yet."""

    def ended(state: RolloutState) -> RolloutState:
        if is_under_way(state):
            return state.model_copy(update={"wish": "abort"})
        return state

    states.change(model, ended)


def check_brought(state: RolloutState, version: str | None) -> None:
    """See to it that ``version`` is the one that is being brought in; None: any.

    Raises:
        NothingToDo: it is not, or not any more.
    """
    last = state.versions[-1].name if state.versions else "none"
    brought = state.progress.version if state.progress else last
    if version not in (None, brought):
        raise NothingToDo(
            f"version {version} of {state.model} is not being brought in: version {brought} is"
        )


def check_not_broken_off(state: RolloutState, version: str | None) -> None:
    """See to it that what a person wants promoted was not left half-way by a job that is no more.

    Raises:
        BadDataError: it was.
    """
    if state.awaits or is_under_way(state) or baseline(state).serves_as(state):
        return
    brought = state.versions[-1].name
    if version in (None, brought):
        raise BadDataError(
            f"the job that brought version {brought} of {state.model} in was killed, and the "
            "version neither waits nor serves: run `twin rollout start --recipe …`"
        )


def check_waits(state: RolloutState, version: str | None) -> None:
    """See to it that ``version`` waits for approval; None: any.

    Raises:
        NothingToDo: it does not, or not any more.
    """
    if state.awaits is None:
        raise NothingToDo(f"no version of {state.model} waits for approval")
    if version not in (None, state.awaits):
        raise NothingToDo(f"version {version} of {state.model} waits no more: {state.awaits} does")


def is_under_way(state: RolloutState) -> bool:
    """Whether a process brings a version in."""
    return not is_free(state.lease, datetime.now(UTC))


def _if_under_way(
    model: str, change: Callable[[RolloutState], RolloutState]
) -> Callable[[RolloutState], RolloutState]:
    def checked(state: RolloutState) -> RolloutState:
        if not is_under_way(state):
            raise NothingToDo(f"no rollout of {model} is under way")
        return change(state)

    return checked
