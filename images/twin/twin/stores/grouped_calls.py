"""Calls of many threads, carried out together.

The warehouse answers a write when it is on disk. Threads that each wait for a disk of their own
are as slow as one; here those that come while it is busy, or a moment later, share the next
commands. Who has called gets its answer when its own part is done, as if it had been alone.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Items of one group: beyond this the warehouse gains nothing more.
LARGEST_GROUP = 64
#: What a call waits for others to join it, if some are expected.
SECONDS = 0.1
_LOOK_SECONDS = 0.02


@dataclass
class _Waiting(Generic[Item, Result]):
    item: Item
    since: float = field(default_factory=time.monotonic)
    results: list[Result] = field(default_factory=list)
    error: BaseException | None = None
    wake: threading.Event = field(default_factory=threading.Event)
    """Set when it is done, or when its thread is to lead all who wait."""


class GroupedCalls(Generic[Item, Result]):
    """See the module. Safe to share between threads: that is what it is for.

    Args:
        carry_out: does what is asked of several items, and returns a result for each.
        expects_more: whether others are on their way: then a call waits a moment for them, else
            it is carried out at once, with those that came while the one before was.
    """

    def __init__(
        self,
        carry_out: Callable[[Sequence[Item]], Sequence[Result]],
        expects_more: Callable[[], bool] = lambda: False,
        *,
        largest: int = LARGEST_GROUP,
        seconds: float = SECONDS,
    ) -> None:
        self._carry_out = carry_out
        self._expects_more = expects_more
        self._largest = largest
        self._seconds = seconds
        self._waiting: list[_Waiting[Item, Result]] = []
        self._arrival = threading.Condition()
        self._is_led = False

    def call(self, item: Item) -> Result:
        """The result for an item, perhaps together with others' and in any order.

        Raises:
            Exception: what carrying out its group has raised.
        """
        mine: _Waiting[Item, Result] = _Waiting(item)
        with self._arrival:
            self._waiting.append(mine)
            is_led, self._is_led = self._is_led, True
            if len(self._waiting) >= self._largest:
                self._arrival.notify()
        if is_led:
            mine.wake.wait()
        if not mine.results and mine.error is None:
            self._lead(mine)
        if mine.error is not None:
            raise mine.error
        return mine.results[0]

    def _lead(self, leader: _Waiting[Item, Result]) -> None:
        group = self._gather(leader.since + self._seconds)
        try:
            results = self._carry_out([one.item for one in group])
            for one, result in zip(group, results, strict=True):
                one.results.append(result)
        except BaseException as error:
            for one in group:
                one.error = error
        finally:
            with self._arrival:
                following = self._waiting[0] if self._waiting else None
                self._is_led = following is not None
            for one in group:
                one.wake.set()
            if following is not None:
                following.wake.set()

    def _gather(self, deadline: float) -> list[_Waiting[Item, Result]]:
        """Those who came first, the leader among them."""
        with self._arrival:
            while len(self._waiting) < self._largest and self._expects_more():
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._arrival.wait(min(left, _LOOK_SECONDS))
            group = self._waiting[: self._largest]
            del self._waiting[: self._largest]
        return group
