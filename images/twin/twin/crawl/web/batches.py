"""Calls of many coroutines, carried out together by a few threads.

The warehouse answers a write when it is on disk, and the reader is a process of its own: pages
that each wait for both by themselves are slow. Here those that come while others are worked on,
or a moment later, make the next batch. A batch is read while the one before it is stored.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

#: Calls of one batch: beyond this the warehouse gains nothing more.
LARGEST = 64
#: Batches on their way: one that is read, one that is stored, one that is about to be read.
AT_ONCE = 3
#: What a call waits for others to join it, if some are expected.
SECONDS = 0.1
_LOOK_SECONDS = 0.02


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
        self._waiting: deque[tuple[float, Any, asyncio.Future[Any]]] = deque()
        self._running: set[asyncio.Future[Any]] = set()
        self._clock: asyncio.TimerHandle | None = None

    async def call(self, item: Any) -> Any:
        """The result for an item.

        Raises:
            Exception: what working on its batch has raised.
        """
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((loop.time(), item, result))
        self._start(loop)
        return await result

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start what batches there are to start; look again in a moment, if some wait on."""
        while self._waiting and len(self._running) < AT_ONCE and self._is_time(loop):
            size = min(self._largest, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(size)]
            items = [item for _, item, _ in batch]
            done = asyncio.ensure_future(loop.run_in_executor(self._executor, self._work, items))
            self._running.add(done)
            results = [result for _, _, result in batch]
            done.add_done_callback(lambda done, results=results: self._end(loop, done, results))
        if self._waiting and self._clock is None and len(self._running) < AT_ONCE:
            self._clock = loop.call_later(_LOOK_SECONDS, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._clock = None
        self._start(loop)

    def _is_time(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether those who wait need not wait for more."""
        if len(self._waiting) >= self._largest or not self._expects_more():
            return True
        return loop.time() - self._waiting[0][0] >= self._seconds

    def _end(
        self,
        loop: asyncio.AbstractEventLoop,
        done: asyncio.Future[Any],
        results: Sequence[asyncio.Future[Any]],
    ) -> None:
        self._running.discard(done)
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        for position, result in enumerate(results):
            if result.done():  # who waited for it has been cancelled
                continue
            if error is not None:
                result.set_exception(error)
            else:
                result.set_result(done.result()[position])
        self._start(loop)
