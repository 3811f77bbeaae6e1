import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests import servers
from twin.domain.errors import TryAgainError
from twin.domain.rollout import Lease
from twin.rollout import lease as lease_module
from twin.rollout.lease import LostLeaseError, Owner, is_free, this_place
from twin.stores.rollout_states import RolloutStates

MODEL = "twin-a"


@pytest.fixture
def states(settings):
    return RolloutStates(settings)


def lease(**more):
    now = datetime.now(UTC)
    fields = {
        "token": "t",
        "run_id": "r",
        "place": "elsewhere/1",
        "pid": 1,
        "expires": now + timedelta(seconds=5),
    }
    return Lease(**{**fields, **more})


def gone_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_one_at_a_time(states):
    with Owner(states, MODEL, "first"):
        with pytest.raises(TryAgainError, match="another rollout of twin-a is under way"):
            Owner(states, MODEL, "second", wait_seconds=0).__enter__()
        with Owner(states, "twin-b", "third", wait_seconds=0):
            assert states.load("twin-b").lease.run_id == "third"
        assert states.load(MODEL).lease.run_id == "first"
    with Owner(states, MODEL, "second", wait_seconds=0) as owner:
        assert owner.state().lease.run_id == "second"
    assert states.load(MODEL).lease is None


def test_who_waits_gets_it_in_the_end(states):
    asked = []
    with Owner(states, MODEL, "first"):
        second = Owner(states, MODEL, "second", wait_seconds=30, waiting=lambda: asked.append(1))
        entered = threading.Event()

        def wait():
            with second:
                entered.set()

        thread = threading.Thread(target=wait)
        thread.start()
        servers.wait_until(lambda: asked, "a look at the lease", 10)
        assert not entered.is_set()
    thread.join(20)
    assert entered.is_set()


def test_a_lease_is_free_when_its_time_or_its_process_has_ended():
    now = datetime.now(UTC)
    assert is_free(None, now)
    assert not is_free(lease(), now)
    assert is_free(lease(expires=now), now)
    assert not is_free(lease(expires=now + timedelta(milliseconds=1)), now)
    here = this_place()
    assert not is_free(lease(place=here, pid=os.getpid()), now)
    assert not is_free(lease(place=here, pid=1), now), "a process of another user runs too"
    gone = gone_pid()
    assert is_free(lease(place=here, pid=gone), now)
    assert not is_free(lease(place="elsewhere/1", pid=gone), now), "there it may run"


def test_a_holder_that_was_replaced_can_write_nothing(states):
    with Owner(states, MODEL, "first") as owner:
        taken = lease(run_id="second")
        states.change(MODEL, lambda state: state.model_copy(update={"lease": taken}))
        before = states.load(MODEL)
        for act in (
            owner.state,
            lambda: owner.change(lambda s: s.model_copy(update={"shadow": 5})),
        ):
            with pytest.raises(LostLeaseError, match="run second's now"):
                act()
    assert states.load(MODEL) == before, "it does not give back what is another's either"


def test_a_lease_is_renewed_while_its_holder_waits(states, monkeypatch):
    monkeypatch.setattr(lease_module, "RENEWAL_SECONDS", 0.02)
    with Owner(states, MODEL, "first"):
        first = states.load(MODEL).lease
        servers.wait_until(
            lambda: states.load(MODEL).lease.expires > first.expires, "a renewal", 10
        )
        assert states.load(MODEL).lease.token == first.token
        assert states.load(MODEL).generation == 0, "nothing else has changed"
    time.sleep(0.05)
    assert states.load(MODEL).lease is None, "and never after it was given back"


def test_a_wish_does_not_outlive_its_rollout(states):
    with Owner(states, MODEL, "first"):
        states.change(MODEL, lambda state: state.model_copy(update={"wish": "abort"}))
    assert states.load(MODEL).wish is None
    states.change(MODEL, lambda state: state.model_copy(update={"wish": "pause"}))
    with Owner(states, MODEL, "second"):
        assert states.load(MODEL).wish is None
