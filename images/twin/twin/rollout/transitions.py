"""The states that a rollout goes through. Pure: each function gives the next state.

    settled (v7: 100) → dark (v7: 100, v8 runs) → shifting (v7: 90, v8: 10) … → settled (v8: 100)

and from anywhere back to the baseline, where what served before serves alone.
"""

from collections.abc import Sequence
from datetime import datetime

from twin.domain.rollout import ALL, MAX_EVENTS, RolloutEvent, RolloutState, ServedVersion


def baseline(state: RolloutState, new: ServedVersion) -> RolloutState:
    """What to come back to if ``new`` fails: the version that served before it, alone.

    Taken from what is there rather than remembered, so that a rollout that was killed half-way
    has one too. Where ``new`` is the version that serves, with another recipe, it is that
    version as it was; at a first rollout it is nothing.
    """
    before = _before(state, new) or _in_place(state, new)
    if before is None:
        return state.model_copy(update={"versions": (), "weights": {}})
    return state.model_copy(update={"versions": (before,), "weights": {before.version: ALL}})


def dark(state: RolloutState, new: ServedVersion) -> RolloutState:
    """``new`` runs beside what serves, and only those who pin it reach it.

    Where it is the version that serves, with another recipe, it takes its own place, and Serve
    replaces the replicas one after the other.
    """
    base = baseline(state, new)
    others = tuple(item for item in base.versions if item.version != new.version)
    return base.model_copy(update={"versions": (*others, new)})


def shares(state: RolloutState, new: ServedVersion, steps: Sequence[int]) -> Sequence[int]:
    """The shares that ``new`` goes by: all at once if there is nobody to share with."""
    return steps if _before(state, new) else (ALL,)


def shifted(state: RolloutState, new: ServedVersion, share: int) -> RolloutState:
    """``new`` takes ``share`` percent of the traffic, the one before it the rest."""
    before = _before(state, new)
    if before is None:
        return state.model_copy(update={"weights": {new.version: ALL}})
    weights = {before.version: ALL - share, new.version: share}
    return state.model_copy(update={"weights": weights})


def settled(state: RolloutState, new: ServedVersion) -> RolloutState:
    """``new`` alone runs; the one before it is what a rollback goes back to."""
    return state.model_copy(
        update={
            "versions": (new,),
            "weights": {new.version: ALL},
            "previous": _before(state, new) or state.previous,
        }
    )


def noted(state: RolloutState, event: RolloutEvent) -> RolloutState:
    """The state with one more line of history."""
    return state.model_copy(update={"history": (*state.history, event)[-MAX_EVENTS:]})


def event(now: datetime, run_id: str, name: str, version: str, message: str = "") -> RolloutEvent:
    """A line of history."""
    return RolloutEvent(time=now, run_id=run_id, event=name, version=version, message=message)


def _before(state: RolloutState, new: ServedVersion) -> ServedVersion | None:
    """The version with the most traffic, ``new`` aside."""
    others = [item for item in state.versions if item.version != new.version]
    return max(others, key=lambda item: state.weights.get(item.version, 0), default=None)


def _in_place(state: RolloutState, new: ServedVersion) -> ServedVersion | None:
    """The version of ``new`` as it serves now, if it does, and alone."""
    return state.version(new.version) if state.weights.get(new.version) == ALL else None
