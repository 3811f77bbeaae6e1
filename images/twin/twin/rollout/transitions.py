"""The states that a rollout goes through. Pure: each function gives the next state.

    settled (v7: 100) → dark (v7: 100, v8 runs) → mirrored (v8 is asked too) → shifted (v7: 90,
    v8: 10) … → awaiting (as before, where a person is asked) → settled (v8: 100, v7 warm) →
    retired (v8 alone)

and from anywhere back to the baseline, where what served before serves alone.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from twin.domain.rollout import (
    ALL,
    MAX_EVENTS,
    Progress,
    RolloutEvent,
    RolloutState,
    ServedVersion,
)

#: Step of a version that keeps its share until a person has approved it.
WAITS = "waits for approval"
#: Of what a person went back from.
ROLLED_BACK = "rolled back"
#: Of a state in which no other version is brought in.
ALONE = {"shadow": 0, "awaits": None}


def baseline(state: RolloutState) -> RolloutState:
    """What to come back to if a rollout fails: the settled version, without traffic for any other.

    Taken from what is there rather than remembered, so that a rollout that was killed half-way
    has one too: `dark` puts the settled version first, whatever is brought in after it. At a
    first rollout it is nothing.
    """
    if not (state.versions and state.weights):
        return state.model_copy(update={"versions": (), "weights": {}, **ALONE})
    first = state.versions[0]
    update = {"versions": (first,), "weights": {first.name: ALL}, **ALONE}
    return state.model_copy(update=update)


def dark(state: RolloutState, new: ServedVersion) -> RolloutState:
    """``new`` runs beside what serves, and only those who pin it reach it.

    Where it is what serves, with another number of replicas, it takes its own place, and Serve
    scales it. One that is still warm goes on running.
    """
    base = baseline(state)
    before = other_than(base, new)
    return base.model_copy(update={"versions": (before, new) if before else (new,)})


def mirrored(state: RolloutState, percent: int) -> RolloutState:
    """The version that is brought in is asked ``percent`` of what the other one is asked."""
    return state.model_copy(update={"shadow": percent})


def shares(state: RolloutState, new: ServedVersion, steps: Sequence[int]) -> Sequence[int]:
    """The shares that ``new`` goes by, once it is `dark`: all if there is nobody to share with."""
    return steps if other_than(state, new) else (ALL,)


def shifted(state: RolloutState, new: ServedVersion, share: int) -> RolloutState:
    """``new`` takes ``share`` percent of the traffic, the one before it the rest."""
    before = other_than(state, new)
    if before is None:
        return state.model_copy(update={"weights": {new.name: ALL}, **ALONE})
    weights = {before.name: ALL - share, new.name: share}
    return state.model_copy(update={"weights": weights, **ALONE})


def awaiting(state: RolloutState, new: ServedVersion) -> RolloutState:
    """``new`` keeps its share until a person has approved it."""
    return state.model_copy(update={"awaits": new.name})


def awaiting_again(state: RolloutState, before: RolloutState) -> RolloutState:
    """What waited ``before`` does so again, with the share that it had."""
    names = ("versions", "weights", "shadow", "awaits", "progress")
    return state.model_copy(update={name: getattr(before, name) for name in names})


def settled(
    state: RolloutState, new: ServedVersion, now: datetime, warm_seconds: int = 0
) -> RolloutState:
    """``new`` alone serves; the one before it is what a rollback goes back to.

    It runs on for ``warm_seconds``, without traffic.
    """
    after = state.model_copy(update={"versions": (new,), "weights": {new.name: ALL}, **ALONE})
    before = other_than(state, new)
    if before is None:
        return after
    warm = {"warm": before, "warm_until": now + timedelta(seconds=warm_seconds)}
    none = {"warm": None, "warm_until": None}
    return after.model_copy(update={"previous": before, **(warm if warm_seconds else none)})


def retired(state: RolloutState, now: datetime) -> RolloutState:
    """The warm version runs no more, once its time is over."""
    if state.warm is None or (state.warm_until is not None and now < state.warm_until):
        return state
    return state.model_copy(update={"warm": None, "warm_until": None})


def progressed(state: RolloutState, now: datetime, name: str, version: str) -> RolloutState:
    """The state at a step that begins ``now``.

    What waits for a person keeps the figures of the step before; where it waits again, after an
    approval that could not be carried out, also the time since when, by which it is known that the
    same was asked.
    """
    before = state.progress if state.awaits else None
    if before is not None and before.step == WAITS:
        return state
    figures = before.figures if before else ()
    progress = Progress(version=version, step=name, since=now, figures=figures)
    return state.model_copy(update={"progress": progress})


def with_figures(state: RolloutState, lines: Sequence[str]) -> RolloutState:
    """The state with the figures of the step that it is at."""
    if state.progress is None:
        return state
    progress = state.progress.model_copy(update={"figures": tuple(lines)})
    return state.model_copy(update={"progress": progress})


def noted(state: RolloutState, event: RolloutEvent) -> RolloutState:
    """The state with one more line of history."""
    return state.model_copy(update={"history": (*state.history, event)[-MAX_EVENTS:]})


def event(
    now: datetime, run_id: str, name: str, version: ServedVersion, message: str = ""
) -> RolloutEvent:
    """A line of history."""
    return RolloutEvent(
        time=now,
        run_id=run_id,
        event=name,
        version=version.name,
        configuration=version.configuration,
        message=message,
    )


def other_than(state: RolloutState, new: ServedVersion) -> ServedVersion | None:
    """The settled version, unless that is ``new``."""
    return next((item for item in state.versions[:1] if item.name != new.name), None)
