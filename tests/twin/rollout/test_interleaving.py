"""Rollouts, rollbacks and retries that meet at any point of one another end in a legal state.

A rollout is stopped before every look at the state, inside every change of it and before every word
to Serve. There another one runs, whole: first while the lease holds, then as if the first had been
away for too long. What that buys: no lock is believed in that was not tried at the worst moment.
"""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from tests.twin.rollout.serve_in_process import MODEL
from twin.domain.errors import BadDataError, TryAgainError
from twin.rollout.lease import LostLeaseError
from twin.rollout.steering import ask_to_end
from twin.rollout.transitions import baseline
from twin.stores.rollout_states import RolloutStates
from twin.stores.serve_config import render


class Watched(RolloutStates):
    """States that call ``tick`` at each point where another process may come in between."""

    def __init__(self, settings, tick):
        super().__init__(settings)
        self.tick = tick

    def load(self, model):
        self.tick()
        return super().load(model)

    def change(self, model, change):
        def between(state):
            after = change(state)
            self.tick()  # it was read, and is not written yet
            return after

        return super().change(model, between)


def meet(stage, point, act):
    """A rollout to version 2, in which at one point something else is done; returns the points."""
    points = itertools.count()

    def tick():
        if next(points) == point:
            act()

    stage.serve.on_apply = tick
    plain, stage.states = stage.states, Watched(stage.settings, tick)
    error = None
    try:
        stage.roll(stage.two)
    except (BadDataError, TryAgainError) as raised:
        error = raised
    stage.states, stage.serve.on_apply = plain, lambda: None
    return next(points), error


def check_legal(stage):
    state = stage.state()
    assert len(state.versions) == 1
    assert baseline(state).serves_as(state)
    assert (state.lease, state.wish, state.progress) == (None, None, None)
    assert stage.serve.config == render([state], stage.settings)
    assert stage.weights == state.weights
    return state.versions[0].version


def away(states):
    """The first one's lease ends, as if its pod had been stopped for a while."""
    long_ago = datetime.now(UTC) - timedelta(seconds=1)

    def ended(state):
        if state.lease is None:
            return state
        return state.model_copy(
            update={"lease": state.lease.model_copy(update={"expires": long_ago})}
        )

    states.change(MODEL, ended)


#: What may come in between, and the versions that may serve in the end.
LIVE = {
    "another rollout": (lambda stage, plain: roll_refused(stage, plain, stage.three), {"2"}),
    "a retry": (lambda stage, plain: roll_refused(stage, plain, stage.two), {"2"}),
    "an end by hand": (lambda stage, plain: ask_to_end(plain, MODEL), {"1", "2"}),
}
TAKEN = {"another rollout": "3", "a retry": "2", "a rollback": "1"}


def roll_refused(stage, plain, to):
    """Whoever comes second is told to wait, unless the first has not begun or has ended."""
    mine, stage.states = stage.states, plain
    tick, stage.serve.on_apply = stage.serve.on_apply, lambda: None
    try:
        stage.roll(to)
    except TryAgainError as error:
        assert "another rollout of twin-tiny is under way" in str(error)
    finally:
        stage.states, stage.serve.on_apply = mine, tick


def all_points(make_stage):
    number, error = meet(make_stage("counted"), -1, lambda: None)
    assert error is None
    assert number > 20
    return number


@pytest.mark.nightly
def test_two_who_hold_no_lease_wait_for_one_another(make_stage):
    """Minutes. Buys: every step of a rollout at which another command may come."""
    for point, name in itertools.product(range(all_points(make_stage)), LIVE):
        act, expected = LIVE[name]
        stage = make_stage(f"{name}-{point}")
        plain = stage.states
        _, error = meet(stage, point, lambda act=act, s=stage, p=plain: act(s, p))
        served = check_legal(stage)
        # Before the first takes the lease the other one is first, and the first comes after it.
        assert served in expected, f"{name} at point {point}: {error}"
        if served == "1":
            assert "ended by hand" in str(error)


def test_who_was_away_too_long_changes_nothing_any_more(make_stage):
    for point, name in itertools.product(range(all_points(make_stage)), TAKEN):
        stage = make_stage(f"{name}-{point}")
        plain = stage.states
        target = {"3": stage.three, "2": stage.two, "1": stage.one}[TAKEN[name]]
        leases = []

        def act(stage=stage, plain=plain, target=target, leases=leases):
            leases.append(plain.load(MODEL).lease)
            away(plain)
            roll_refused(stage, plain, target)

        _, error = meet(stage, point, act)
        served = check_legal(stage)
        if leases[0] is None:  # it had not begun, or had ended
            assert served in {"2", target.version}
        else:
            assert served == target.version, f"{name} at point {point}: {error}"
            assert isinstance(error, LostLeaseError) or error is None
