"""The reference engine: transformers in this process, a bounded number of answers at once.

Its model blocks, so each answer under way has a thread; further requests wait for one. The
other engines write all their answers in one batch: take them where speed counts.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from twin.domain.errors import BadDataError
from twin.models.engines.engine import EngineRequest, check_room
from twin.models.engines.transformers_model import TransformersModel
from twin.models.language_model import Generation

Piece = str | Generation


class TransformersEngine:
    """See `twin.models.engines.engine.Engine` for the contract; takes no adapters.

    Args:
        model: loaded.
        at_once: answers written at the same time; more wait for their turn.
    """

    def __init__(self, model: TransformersModel, *, at_once: int = 1) -> None:
        self._model = model
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="generation")
        self._lost_gpu: Exception | None = None

    @classmethod
    def load(cls, folder: Path, *, threads: int, at_once: int = 1) -> Self:
        """Load a packaged model. Blocking.

        Raises:
            BadDataError: the folder holds no complete model.
        """
        return cls(TransformersModel.load(folder, folder.name, threads), at_once=at_once)

    @property
    def context_tokens(self) -> int:
        """Largest number of tokens of prompt and answer together."""
        return self._model.context_tokens

    async def stream(self, request: EngineRequest) -> AsyncIterator[Piece]:
        """Pieces of text, then the whole answer; see `Engine.stream`."""
        if request.adapter:
            raise BadDataError(f"no adapter {request.adapter!r}: transformers takes none")
        check_room(request, self.context_tokens)
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Piece | None] = asyncio.Queue()
        gone = threading.Event()
        deadline = time.monotonic() + request.timeout_seconds

        def put(piece: Piece | None) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, piece)

        def stop() -> bool:
            return gone.is_set() or time.monotonic() > deadline

        work = loop.run_in_executor(self._threads, self._write, request, stop, put)
        try:
            while (piece := await queue.get()) is not None:
                yield piece
            await work
        finally:
            gone.set()

    async def set_adapters(self, adapters: Mapping[str, Path]) -> None:
        """Refuse adapters: this engine takes none."""
        if adapters:
            raise BadDataError(
                f"adapter {next(iter(adapters))!r}: the engine transformers takes none; set "
                "serving.engine to llama.cpp or vllm, or serving.adapters to merged"
            )

    async def check_health(self) -> None:
        """See whether this process can still answer.

        Raises:
            RuntimeError: an answer left the GPU in a state that only a new process ends.
        """
        if self._lost_gpu:
            raise RuntimeError(f"the GPU is lost to this process: {self._lost_gpu}")

    async def close(self) -> None:
        """End the threads; answers under way are ended by their callers."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _write(
        self, request: EngineRequest, stop: Callable[[], bool], put: Callable[[Piece | None], None]
    ) -> None:
        try:
            for piece in self._pieces(request, stop):
                put(piece)
        except Exception as error:
            if _loses_gpu(error):
                self._lost_gpu = error
            raise
        finally:
            put(None)

    def _pieces(self, request: EngineRequest, stop: Callable[[], bool]) -> Iterator[Piece]:
        if stop():  # the caller has left, or the time was over before its turn came
            yield Generation("", "length", len(request.prompt_ids), 0)
            return
        yield from self._model.write(list(request.prompt_ids), request.params, stop)


def _loses_gpu(error: Exception) -> bool:
    """Whether CUDA refuses this process all further work; being out of memory does not."""
    import torch

    return isinstance(error, torch.AcceleratorError)
