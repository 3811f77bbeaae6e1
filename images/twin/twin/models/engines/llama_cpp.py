"""The engine on processors: llama.cpp in this process, many answers at once by continuous batching.

A request costs no thread while it waits: it holds one only from the moment one of the engine's
slots is free. Pieces cross from that thread to the event loop as they are written.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path

from twin.domain.errors import BadDataError, TryAgainError
from twin.models.engines.engine import EngineRequest
from twin.models.engines.gguf import prepare_gguf, prepare_gguf_adapter
from twin.models.engines.llama_answer import AnswerFormat, LlamaAnswer
from twin.models.engines.llama_server import (
    BATCH_TOKENS,
    LlamaServer,
    ServerOptions,
    read_context_tokens,
)
from twin.models.engines.llama_slots import Lease, Slots
from twin.models.engines.llama_turns import PromptTurns
from twin.models.language_model import Generation
from twin.recipes.engines import LlamaCppSection

MAX_CONTEXT_TOKENS = 16_384
"""Prompt and answer together, for models that would take more: bounds the memory of the cache."""
POOLED_TOKENS = 2_048
"""Tokens a slot for which there is room in the cache, which all slots share."""
_CLOSED = "the engine is closed: ask again when a new one is up"
HEALTH_SECONDS = 60.0
"""Patience with the server's loop, which looks up between two steps."""


class _Loaded:
    """A server at work with the adapters it was loaded with, and who uses it."""

    def __init__(
        self, server: LlamaServer, slots: Slots, turns: PromptTurns, adapters: dict[str, int]
    ) -> None:
        self.server = server
        self.slots = slots
        self.turns = turns
        self.adapters = adapters
        self.answers: set[LlamaAnswer] = set()
        self.retired = False
        self._users = 0
        self._closing: asyncio.Task[None] | None = None
        self._closed = asyncio.Event()

    def enter(self) -> None:
        """One user more, who waits for a slot or has one."""
        self._users += 1

    def leave(self) -> None:
        """One user fewer; the last one of a retired server closes it."""
        self._users -= 1
        self._close_if_idle()

    def retire(self) -> None:
        """Close the server as soon as nobody uses it."""
        self.retired = True
        self._close_if_idle()

    async def closed(self) -> None:
        """Wait for that."""
        await self._closed.wait()

    def _close_if_idle(self) -> None:
        if self.retired and self._users == 0 and self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close())

    async def _close(self) -> None:
        await asyncio.to_thread(self.server.close)
        self.slots.threads.shutdown(wait=False)
        self._closed.set()


class LlamaCppEngine:
    """See `twin.models.engines.engine.Engine` for the contract."""

    def __init__(
        self,
        load: Callable[[Mapping[str, Path]], LlamaServer],
        adapters: Mapping[str, Path],
        options: ServerOptions,
        form: AnswerFormat,
    ) -> None:
        self._load = load
        self._options = options
        self._format = form
        self._changing = asyncio.Lock()
        self.context_tokens = options.context_tokens
        self._adapters = set(adapters.items())
        self._loaded: _Loaded | None = self._at_work(load(adapters), adapters)

    def _at_work(self, server: LlamaServer, adapters: Mapping[str, Path]) -> _Loaded:
        slots = Slots(self._options.parallel, self._options.pool_tokens)
        # A step has a word of each other answer too.
        turns = PromptTurns(max(1, BATCH_TOKENS - self._options.parallel))
        numbers = {name: number for number, name in enumerate(adapters)}
        return _Loaded(server, slots, turns, numbers)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        adapters: Mapping[str, Path] | None = None,
        threads: int,
        knobs: LlamaCppSection,
        cache: Path,
    ) -> "LlamaCppEngine":
        """Load a model folder, converting it to GGUF at first use; blocks.

        Args:
            folder: safetensors, fast tokenizer, chat template.
            adapters: LoRA adapters (folders of PEFT) by the names that requests give.
            threads: threads that compute: as many as cores are reserved.
            knobs: of the recipe.
            cache: where converted files are kept.

        Raises:
            BadDataError: llama.cpp cannot run this model or one of the adapters.
            BadConfigurationError: the converter is missing, or cannot make the quantisation.
        """
        file = prepare_gguf(folder, knobs.quantisation, cache)
        context = min(read_context_tokens(folder), MAX_CONTEXT_TOKENS)
        pool = max(context, knobs.parallel * POOLED_TOKENS)
        options = ServerOptions(context, pool, knobs.parallel, threads)

        def load(wanted: Mapping[str, Path]) -> LlamaServer:
            files = tuple(prepare_gguf_adapter(path, folder, cache) for path in wanted.values())
            return LlamaServer(file, replace(options, adapters=files))

        return cls(load, adapters or {}, options, AnswerFormat.load(folder))

    async def stream(self, request: EngineRequest) -> AsyncIterator[str | Generation]:
        """Pieces of text, then the whole answer; see `Engine.stream`."""
        loaded = self._check(request)
        deadline = asyncio.get_running_loop().time() + request.timeout_seconds
        loaded.enter()
        try:
            async with asyncio.timeout_at(deadline):
                lease = await loaded.slots.take(
                    request.prompt_ids,
                    request.params.max_new_tokens,
                    None if request.adapter is None else loaded.adapters[request.adapter],
                )
        except BaseException as error:
            loaded.leave()
            if not isinstance(error, TimeoutError):
                raise
            yield Generation("", "length", len(request.prompt_ids), 0)
            return
        answer = self._begin(loaded, lease, request)
        try:
            async for piece in answer.pieces(deadline):
                yield piece
        finally:
            answer.cancel()

    def _begin(self, loaded: _Loaded, lease: Lease, request: EngineRequest) -> LlamaAnswer:
        answer = LlamaAnswer(loaded.server, self._format, request, lease, loaded.turns)
        if self._loaded is None:  # closed meanwhile
            answer.cancel()
        loaded.answers.add(answer)

        def ended(_: object) -> None:
            loaded.answers.remove(answer)
            loaded.slots.give_back(lease, answer.cached_ids)
            loaded.leave()

        writing = asyncio.get_running_loop().run_in_executor(loaded.slots.threads, answer.write)
        writing.add_done_callback(ended)
        return answer

    def _check(self, request: EngineRequest) -> _Loaded:
        if self._loaded is None:
            raise TryAgainError(_CLOSED)
        wanted = len(request.prompt_ids) + request.params.max_new_tokens
        if wanted > self.context_tokens:
            raise BadDataError(
                f"prompt ({len(request.prompt_ids)} tokens) and answer "
                f"({request.params.max_new_tokens}) are over the {self.context_tokens} tokens that "
                "the engine takes: shorten the prompt"
            )
        if not request.prompt_ids:
            raise BadDataError("the prompt has no tokens")
        params = request.params
        if params.json_schema and (params.repetition_penalty != 1.0 or params.min_new_tokens):
            # Such answers are written in parts, each of which would begin the grammar anew.
            raise BadDataError(
                "llama.cpp writes by a JSON schema without a repetition penalty and without a "
                "least number of tokens only"
            )
        if request.adapter is not None and request.adapter not in self._loaded.adapters:
            raise BadDataError(
                f"no adapter {request.adapter!r}: the engine has "
                f"{', '.join(sorted(self._loaded.adapters)) or 'none'}"
            )
        return self._loaded

    async def set_adapters(self, adapters: Mapping[str, Path]) -> None:
        """Load these adapters: a new server beside the old one, whose answers end on it."""
        async with self._changing:
            if self._loaded is None:
                raise TryAgainError(_CLOSED)
            if set(adapters.items()) == self._adapters:
                return
            server = await asyncio.to_thread(self._load, dict(adapters))
            old, self._loaded = self._loaded, self._at_work(server, adapters)
            self._adapters = set(adapters.items())
            old.retire()

    async def check_health(self) -> None:
        """See whether the server's loop answers."""
        if self._loaded is None:
            raise RuntimeError("the engine is closed")
        server = self._loaded.server
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                await asyncio.to_thread(server.metrics)
        except TimeoutError:
            raise RuntimeError(
                f"llama.cpp's loop has not answered for {HEALTH_SECONDS:.0f} s"
            ) from None

    async def close(self) -> None:
        """End the running answers and free the memory."""
        async with self._changing:
            loaded, self._loaded = self._loaded, None
            if loaded is not None:
                for answer in loaded.answers:
                    answer.cancel()
                loaded.retire()
                await loaded.closed()
