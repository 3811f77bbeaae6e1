"""A chain's blocking work kept off the event loop: bounded threads, cancellation, a deadline."""

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from twin.domain.answer import Answer
from twin.rag.query import AnswerPart, Query

#: Text is sent on at most this often: per-token messages slow a busy server down.
SECONDS_BETWEEN_PARTS = 0.08


class StreamingChain(Protocol):
    """What is needed of `twin.rag.chain.Chain`."""

    def stream(self, query: Query, should_stop: Callable[[], bool]) -> Iterator[AnswerPart]:
        """Parts of text, then one with the whole answer."""


class Answering:
    """Answers queries for asyncio callers by a blocking chain.

    At most ``at_once`` generations run; further ones wait for their turn. A caller that goes
    away, or a generation older than ``timeout_seconds``, is stopped at its next token.
    """

    def __init__(self, chain: StreamingChain, *, at_once: int, timeout_seconds: float) -> None:
        self._chain = chain
        self._timeout = timeout_seconds
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="generation")
        self._lost_gpu: Exception | None = None

    async def answer(self, query: Query) -> Answer:
        """The whole answer."""
        async for part in self.stream(query):
            if part.answer:
                return part.answer
        raise RuntimeError("the chain ended without an answer")

    async def stream(self, query: Query) -> AsyncIterator[AnswerPart]:
        """Parts of text, then one with the whole answer."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[AnswerPart | None] = asyncio.Queue()
        gone = threading.Event()

        def put(part: AnswerPart | None) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, part)

        work = loop.run_in_executor(self._threads, self._produce, query, gone, put)
        try:
            while (part := await queue.get()) is not None:
                yield part
            await work
        finally:
            gone.set()

    def check_health(self) -> None:
        """See whether this process can still answer.

        Raises:
            RuntimeError: a generation left the GPU in a state that only a new process ends.
        """
        if self._lost_gpu:
            raise RuntimeError(f"the GPU is lost to this process: {self._lost_gpu}")

    def _produce(
        self, query: Query, gone: threading.Event, put: Callable[[AnswerPart | None], None]
    ) -> None:
        deadline = time.monotonic() + self._timeout
        try:
            if gone.is_set():
                return
            parts = self._chain.stream(query, lambda: gone.is_set() or time.monotonic() > deadline)
            for part in _gathered(parts):
                put(part)
        except Exception as error:
            if _loses_gpu(error):
                self._lost_gpu = error
            raise
        finally:
            put(None)


def _loses_gpu(error: Exception) -> bool:
    """Whether CUDA refuses this process all further work; being out of memory does not."""
    import torch

    return isinstance(error, torch.AcceleratorError)


def _gathered(parts: Iterator[AnswerPart]) -> Iterator[AnswerPart]:
    """The same parts, with text that comes fast gathered into fewer of them."""
    text, sent = "", -math.inf
    for part in parts:
        text += part.text
        due = time.monotonic() - sent >= SECONDS_BETWEEN_PARTS
        if text and (due or part.answer):
            yield AnswerPart(text=text)
            text, sent = "", time.monotonic()
        if part.answer:
            yield AnswerPart(answer=part.answer)
