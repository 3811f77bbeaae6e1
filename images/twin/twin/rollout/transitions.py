"""The states that a rollout goes through. Pure: each function gives the next state.

    settled (v7: 100) → dark (v7: 100, v8 runs) → shifting (v7: 90, v8: 10) … → settled (v8: 100)

and from anywhere back to the baseline, where what served before serves alone.
"""

from collections.abc import Sequence
from datetime import datetime

from twin.domain.rollout import ALL, MAX_EVENTS, RolloutEvent, RolloutState, ServedVersion


def baseline(state: RolloutState) -> RolloutState:
    """What to come back to if a rollout fails: the settled version, alone.

    Taken from what is there rather than remembered, so that a rollout that was killed half-way
    has one too: `dark` puts the settled version first, whatever is brought in after it. At a
    first rollout it is nothing.
    """
    if not (state.versions and state.weights):
        return state.model_copy(update={"versions": (), "weights": {}})
    first = state.versions[0]
    return state.model_copy(update={"versions": (first,), "weights": {first.version: ALL}})


def dark(state: RolloutState, new: ServedVersion) -> RolloutState:
    """``new`` runs beside what serves, and only those who pin it reach it.

    Where it is the version that serves, with another recipe, it takes its own place, and Serve
    replaces the replicas one after the other.
    """
    base = baseline(state)
    before = _before(base, new)
    return base.model_copy(update={"versions": (before, new) if before else (new,)})


def shares(state: RolloutState, new: ServedVersion, steps: Sequence[int]) -> Sequence[int]:
    """The shares that ``new`` goes by, once it is `dark`: all if there is nobody to share with."""
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
    """The settled version, unless that is ``new``."""
    return next((item for item in state.versions[:1] if item.version != new.version), None)
