"""The lease on a model's state: one rollout changes what is in service, wherever it runs.

It lies in the state itself, and every write of its holder is made from a state in which the holder
still has it (`twin.stores.rollout_states`). So a holder that was away too long (a stopped pod, a
network that was cut) and has been replaced meanwhile can write nothing any more: the lease is a
fence, and not only a sign on the door. Its end is by the clock, which only decides when the next
one may begin; two clocks that disagree cost time, or a rollout, and never the state.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from twin.domain.errors import TryAgainError, TwinError
from twin.domain.rollout import Lease, RolloutState
from twin.stores.rollout_states import RolloutStates

#: Longer than a store is slow or a process stands still, shorter than anyone likes to wait after a
#: machine was lost. A process that was killed on this machine is noticed at once.
LEASE_SECONDS = 30.0
#: A rollout renews it so often, that two renewals may fail.
RENEWAL_SECONDS = LEASE_SECONDS / 3
WAIT_SECONDS = 300.0
POLL_SECONDS = 0.5

log = structlog.get_logger("twin")


class LostLeaseError(TryAgainError):
    """Another rollout has taken over; this one changes nothing any more."""


class Owner:
    """Holds the lease on a model's state while its block runs.

    Args:
        states: of all models.
        model: whose state.
        run_id: of the run that changes it, for people.
        wait_seconds: how long another holder is waited for.
        waiting: called at each look while another one holds it.

    Raises:
        TryAgainError: at the block's start: another rollout holds the lease for too long.
    """

    def __init__(
        self,
        states: RolloutStates,
        model: str,
        run_id: str,
        *,
        wait_seconds: float = WAIT_SECONDS,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        self.states = states
        self.model = model
        self.run_id = run_id
        self._token = uuid.uuid4().hex
        self._wait_seconds = wait_seconds
        self._waiting = waiting
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> Self:
        deadline = time.monotonic() + self._wait_seconds
        while not self._taken():
            if time.monotonic() >= deadline:
                raise TryAgainError(
                    f"another rollout of {self.model} is under way: see its log, and `twin rollout "
                    "status`; `twin rollout abort` ends it"
                )
            self._waiting()
            time.sleep(POLL_SECONDS)
        self._heart.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._heart.join()
        try:
            self.change(_given_back)
        except LostLeaseError:
            log.warning("the lease was lost", model=self.model)
        except TwinError as second:
            # It ends by itself: whoever comes next waits that long.
            log.warning("the lease is not given back", model=self.model, reason=str(second))

    def state(self) -> RolloutState:
        """The state, while it is this owner's.

        Raises:
            LostLeaseError: it is no more.
        """
        state = self.states.load(self.model)
        self._check(state)
        return state

    def change(self, change: Callable[[RolloutState], RolloutState]) -> RolloutState:
        """Change the state, and renew the lease; see `RolloutStates.change`.

        Raises:
            LostLeaseError: the lease is another's, or nobody's; nothing is written.
        """

        def owned(state: RolloutState) -> RolloutState:
            self._check(state)
            return change(state.model_copy(update={"lease": self._lease()}))

        return self.states.change(self.model, owned)

    def _check(self, state: RolloutState) -> None:
        if state.lease is None or state.lease.token != self._token:
            holder = f"run {state.lease.run_id}" if state.lease else "nobody"
            raise LostLeaseError(
                f"the state of {self.model} is {holder}'s now: this rollout was away for more than "
                f"{LEASE_SECONDS:.0f} s and leaves it as it is"
            )

    def _taken(self) -> bool:
        now = datetime.now(UTC)

        def take(state: RolloutState) -> RolloutState:
            if not is_free(state.lease, now):
                return state
            return state.model_copy(update={"lease": self._lease(), "wish": None})

        lease = self.states.change(self.model, take).lease
        return lease is not None and lease.token == self._token

    def _lease(self) -> Lease:
        return Lease(
            token=self._token,
            run_id=self.run_id,
            place=this_place(),
            pid=os.getpid(),
            expires=datetime.now(UTC) + timedelta(seconds=LEASE_SECONDS),
        )

    def _renew(self) -> None:
        while not self._ended.wait(RENEWAL_SECONDS):
            try:
                self.change(lambda state: state)
            except LostLeaseError:
                return  # the rollout itself notices at its next step
            except TwinError as error:
                log.warning("the lease is not renewed", model=self.model, reason=str(error))


def _given_back(state: RolloutState) -> RolloutState:
    # What waits for a person goes on showing where it is, and its figures.
    progress = state.progress if state.awaits else None
    return state.model_copy(update={"lease": None, "wish": None, "progress": progress})


def is_free(lease: Lease | None, now: datetime) -> bool:
    """Whether anyone may take the lease: there is none, it has ended, or its process has."""
    if lease is None or lease.expires <= now:
        return True
    return lease.place == this_place() and not _runs(lease.pid)


def this_place() -> str:
    """This machine, and the namespace that its process ids are of."""
    try:
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # not Linux
        namespace = 0
    return f"{socket.gethostname()}/{namespace}"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
