"""Calls of many coroutines, carried out together by a few threads.

The warehouse answers a write when it is on disk, and the reader is a process of its own: pages
that each wait for both by themselves are slow. Here those that come while others are worked on,
or a moment later, make the next batch. A batch is read while the one before it is stored.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

#: Calls of one batch: beyond this the warehouse gains nothing more.
LARGEST = 64
#: Bytes of the pages of one batch: other sources wait for the reader as well.
LARGEST_BYTES = 1_000_000
#: Batches on their way: one that is read, one that is stored, one that is about to be read.
AT_ONCE = 3
#: What a call waits for others to join it, if some are expected.
SECONDS = 0.1
_LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class _Waiting:
    item: Any
    size: int
    since: float
    result: asyncio.Future[Any]


class Batches:
    """See the module. To be used in one event loop.

    Args:
        work: gives a result for each of several items; called in a thread of ``executor``.
        expects_more: whether others are on their way: then a call waits a moment for them.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Any]], Sequence[Any]],
        executor: Executor,
        expects_more: Callable[[], bool] = lambda: False,
        *,
        largest: int = LARGEST,
        seconds: float = SECONDS,
    ) -> None:
        self._work = work
        self._executor = executor
        self._expects_more = expects_more
        self._largest = largest
        self._seconds = seconds
        self._waiting: deque[_Waiting] = deque()
        self._running: set[asyncio.Future[Any]] = set()
        self._clock: asyncio.TimerHandle | None = None

    async def call(self, item: Any, size: int = 0) -> Any:
        """The result for an item, of so many bytes.

        Raises:
            Exception: what working on its batch has raised.
        """
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Any] = loop.create_future()
        self._waiting.append(_Waiting(item, size, loop.time(), result))
        self._start(loop)
        return await result

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start what batches there are to start; look again in a moment, if some wait on."""
        while self._waiting and len(self._running) < AT_ONCE and self._is_time(loop):
            batch = self._next_batch()
            items = [one.item for one in batch]
            done = asyncio.ensure_future(loop.run_in_executor(self._executor, self._work, items))
            self._running.add(done)
            done.add_done_callback(partial(self._end, loop, batch))
        if self._waiting and self._clock is None and len(self._running) < AT_ONCE:
            self._clock = loop.call_later(_LOOK_SECONDS, self._look, loop)

    def _next_batch(self) -> "list[_Waiting]":
        """Those who came first: one at least, and more while they are not too large together."""
        batch = [self._waiting.popleft()]
        size = batch[0].size
        while self._waiting and len(batch) < self._largest:
            size += self._waiting[0].size
            if size > LARGEST_BYTES:
                break
            batch.append(self._waiting.popleft())
        return batch

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._clock = None
        self._start(loop)

    def _is_time(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether those who wait need not wait for more."""
        if len(self._waiting) >= self._largest or not self._expects_more():
            return True
        if sum(one.size for one in self._waiting) >= LARGEST_BYTES:
            return True
        return loop.time() - self._waiting[0].since >= self._seconds

    def _end(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: "Sequence[_Waiting]",
        done: asyncio.Future[Any],
    ) -> None:
        self._running.discard(done)
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        for position, one in enumerate(batch):
            if one.result.done():  # who waited for it has been cancelled
                continue
            if error is not None:
                one.result.set_exception(error)
            else:
                one.result.set_result(done.result()[position])
        self._start(loop)
