"""Waiting for a store that is away: minutes at the end of a training are worth its hours."""

import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from twin.domain.errors import TryAgainError

STORE_OUTAGE = 600.0
"""Seconds that a finished training waits for a store: a restart, a failover or an upgrade of one
takes minutes, and a pod that has a GPU costs too much to wait for hours."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0

Result = TypeVar("Result")

log = structlog.get_logger("twin")


def patiently(action: Callable[[], Result], seconds: float = STORE_OUTAGE) -> Result:
    """The result of ``action``, tried again with growing pauses while the store is away.

    Raises:
        TryAgainError: it still is after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    pause = FIRST_PAUSE
    while True:
        try:
            return action()
        except TryAgainError as error:
            if time.monotonic() + pause > deadline:
                raise
            log.warning("waiting for the file store", reason=str(error), next_try_in=pause)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
