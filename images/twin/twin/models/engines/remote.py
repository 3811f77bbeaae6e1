"""A language model behind somebody's OpenAI-compatible endpoint: to serve, to judge, to teach."""

import asyncio
import json
import random
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr

from twin.domain.errors import BadDataError, TryAgainError, TwinError
from twin.models.engines.engine import EngineRequest
from twin.models.engines.remote_endpoint import Delta, Endpoint, PassingError
from twin.models.formats.families import neutral_for_any_family
from twin.models.language_model import Call, Generation, Message, SamplingParams, TokenStream
from twin.recipes.engines import RemoteSection
from twin.settings import get_settings

T = TypeVar("T")

#: Seconds before the second attempt; doubled for each further one, and varied by up to a half so
#: that callers who failed together do not come back together.
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 20.0

BYTES_PER_TOKEN = 3
"""For estimates, on the safe side: tokenizers of today write 4 bytes of English a token."""


class RemoteEngine:
    """See `twin.models.engines.engine.Engine` for the contract.

    A request goes as messages, whose text is freed of every family's special tokens: which model
    answers is the endpoint's business. The protocol has no ``repetition_penalty``, ``top_k``,
    ``min_p`` and ``min_new_tokens``, so these are not asked for.
    """

    def __init__(self, section: RemoteSection, key: SecretStr | None = None) -> None:
        self._section = section
        self._endpoint = Endpoint(section.base_url, key, section.concurrency, section.key_setting)
        self._turns = asyncio.Semaphore(section.concurrency)
        self._next_start = 0.0

    @classmethod
    def open(cls, section: RemoteSection) -> "RemoteEngine":
        """The engine of a recipe, with the key of this process's settings."""
        return cls(section, get_settings().remote_api_key)

    @property
    def context_tokens(self) -> int:
        """Largest number of tokens of prompt and answer together."""
        return self._section.context_tokens

    async def stream(self, request: EngineRequest) -> AsyncIterator[str | Generation]:
        """Pieces of text as they are written, then one `Generation` with the whole answer.

        An attempt that failed before its first text is repeated; after it, half an answer is
        never taken for a whole one.

        Raises:
            BadDataError, BadConfigurationError: the endpoint would refuse it again.
            TryAgainError: every attempt failed, or an answer broke off.
        """
        if request.adapter is not None:
            raise BadDataError(
                f"a remote endpoint takes no adapters, and {request.adapter!r} is asked for"
            )
        loop = asyncio.get_running_loop()
        deadline = loop.time() + request.timeout_seconds
        body = self._body(request)
        for attempt in range(self._section.retries + 1):
            answer = _Answer(request)
            try:
                async with aclosing(self._attempt(body, deadline, answer)) as pieces:
                    async for piece in pieces:
                        yield piece
                yield answer.generation()
                return
            except PassingError as error:
                if answer.text:
                    raise TryAgainError(
                        f"{error} (after {len(answer.text)} characters of an answer)"
                    ) from None
                await self._wait_after(error, attempt, deadline)

    async def set_adapters(self, adapters: Mapping[str, Path]) -> None:
        """Take none.

        Raises:
            BadDataError: there are some.
        """
        if adapters:
            raise BadDataError("a remote endpoint takes no adapters: set serving.adapters: merged")

    async def check_health(self) -> None:
        """Nothing here can break for good: the next request may find the endpoint well again."""

    async def close(self) -> None:
        """End the connections."""
        await self._endpoint.close()

    def _body(self, request: EngineRequest) -> dict[str, Any]:
        params = request.params
        body: dict[str, Any] = {
            "model": self._section.model,
            "messages": [
                {"role": turn["role"], "content": neutral_for_any_family(turn["content"])}
                for turn in request.messages
            ],
            "max_tokens": params.max_new_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
        }
        if params.seed is not None:
            body["seed"] = params.seed
        if params.stop:
            body["stop"] = list(params.stop)
        if params.json_schema is not None:
            schema = {"name": "answer", "strict": True, "schema": json.loads(params.json_schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    async def _attempt(
        self, body: dict[str, Any], deadline: float, answer: "_Answer"
    ) -> AsyncGenerator[str, None]:
        """Text of one attempt; waits for its turn first. Returns at the deadline."""
        pieces = self._endpoint.chat(body, self._section.timeout_seconds)
        try:
            async with asyncio.timeout_at(deadline):
                await self._pace()
                await self._turns.acquire()
        except TimeoutError:
            raise TryAgainError(
                f"{self._endpoint.base_url}: no turn in time, with {self._section.concurrency} "
                "requests at once: raise serving.remote.concurrency, or ask less"
            ) from None
        try:
            async for delta in self._in_time(pieces, deadline, answer):
                if text := answer.add(delta):
                    yield text
        finally:
            self._turns.release()

    async def _pace(self) -> None:
        """Wait until another request may begin: they are spread evenly over a minute."""
        if self._section.requests_per_minute is None:
            return
        now = asyncio.get_running_loop().time()
        start = max(now, self._next_start)
        self._next_start = start + 60 / self._section.requests_per_minute
        await asyncio.sleep(start - now)

    async def _in_time(
        self, deltas: AsyncIterator[Delta], deadline: float, answer: "_Answer"
    ) -> AsyncIterator[Delta]:
        """The same, until the deadline; the first within the section's timeout.

        Headers that trickle in byte by byte are silence to nobody but this clock.
        """
        first = asyncio.get_running_loop().time() + self._section.timeout_seconds
        async with aclosing(deltas):  # type: ignore[type-var] # a generator, by its type an iterator
            while True:
                limit = deadline if answer.begun else min(first, deadline)
                try:
                    async with asyncio.timeout_at(limit):
                        delta = await anext(deltas, None)
                except TimeoutError:
                    if answer.text:
                        return
                    raise PassingError(
                        f"{self._endpoint.base_url} began no answer in time"
                    ) from None
                if delta is None:
                    return
                yield delta

    async def _wait_after(self, error: PassingError, attempt: int, deadline: float) -> None:
        """Wait before the next attempt.

        Raises:
            TryAgainError: there is none, or it would come too late.
        """
        doubled = min(FIRST_WAIT_SECONDS * 2**attempt, LONGEST_WAIT_SECONDS)
        wait = doubled * random.uniform(0.75, 1.25) if error.wait is None else error.wait  # noqa: S311 - no secret
        left = deadline - asyncio.get_running_loop().time()
        if attempt >= self._section.retries:
            raise TryAgainError(f"{error} ({attempt + 1} attempts)") from None
        if wait >= left:
            raise TryAgainError(
                f"{error}; it asks for {wait:.0f} s, and {left:.0f} s are left"
            ) from None
        await asyncio.sleep(wait)


class _Answer:
    """An answer as its pieces come."""

    def __init__(self, request: EngineRequest) -> None:
        self._request = request
        self._usage: Mapping[str, int] = {}
        self._reason: str | None = None
        self.text = ""
        self.begun = False

    def add(self, delta: Delta) -> str:
        """Take a piece and return its text."""
        self.begun = True
        self.text += delta.text
        self._usage = delta.usage or self._usage
        self._reason = delta.finish_reason or self._reason
        if self._reason == "content_filter":
            raise BadDataError("the endpoint withholds this answer (content_filter)")
        return delta.text

    def generation(self) -> Generation:
        """The whole, with the endpoint's counts where it tells them."""
        prompt = sum(estimated_tokens(turn["content"]) for turn in self._request.messages)
        return Generation(
            self.text,
            "length" if self._reason in (None, "length") else "stop",
            int(self._usage.get("prompt_tokens") or prompt),
            int(self._usage.get("completion_tokens") or estimated_tokens(self.text)),
        )


class RemoteModel:
    """A remote model for jobs, which wait for it (`twin.models.language_model.LanguageModel`)."""

    def __init__(
        self, section: RemoteSection, key: SecretStr | None = None, answer_seconds: float = 300.0
    ) -> None:
        self._section = section
        self._answer_seconds = answer_seconds + section.longest_pause
        self._lock = threading.Lock()
        self._runner = asyncio.Runner()
        self._engine = RemoteEngine(section, key)

    @classmethod
    def open(cls, section: RemoteSection) -> "RemoteModel":
        """The model of a recipe, with the key of this process's settings."""
        return cls(section, get_settings().remote_api_key)

    @property
    def id(self) -> str:
        """The model's name at the endpoint."""
        return self._section.model

    @property
    def context_tokens(self) -> int:
        """Largest number of tokens of prompt and answer together."""
        return self._section.context_tokens

    def count_tokens(self, text: str) -> int:
        """An estimate that is seldom too low: nothing here knows the endpoint's tokenizer."""
        return estimated_tokens(text)

    def generate(self, messages: Sequence[Message], params: SamplingParams) -> Generation:
        """Write one answer."""
        return self._wait(self._answer(messages, params))

    def generate_batch(
        self, conversations: Sequence[Sequence[Message]], params: SamplingParams
    ) -> list[Generation]:
        """Write an answer to each conversation, as many at a time as the section allows."""
        return self._wait(self._answers(conversations, params))

    def answer_each(
        self, calls: Iterable[Call], answered: Callable[[Call, Generation | TwinError], None]
    ) -> None:
        """See `twin.models.language_model.TakesCalls`: as many at a time as the section allows."""
        self._wait(self._answer_each(iter(calls), answered))

    def stream(
        self,
        messages: Sequence[Message],
        params: SamplingParams,
        should_stop: Callable[[], bool] | None = None,
    ) -> TokenStream:
        """Write one answer piece by piece."""
        return TokenStream(self._pieces(messages, params, should_stop))

    def answer_log_likelihood(
        self,
        conversations: Sequence[Sequence[Message]],  # noqa: ARG002 - the protocol's
        answers: Sequence[str],  # noqa: ARG002
    ) -> list[tuple[float, int]]:
        """Refuse.

        Raises:
            BadDataError: always.
        """
        raise BadDataError(
            f"{self.id} at {self._section.base_url} tells no probabilities of a given answer: "
            "perplexity and preference margins need a model that is loaded here"
        )

    def close(self) -> None:
        """End the connections."""
        self._wait(self._engine.close())
        self._runner.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            return self._runner.run(work)

    async def _answers(
        self, conversations: Sequence[Sequence[Message]], params: SamplingParams
    ) -> list[Generation]:
        # Each starts when it has its turn, so that waiting for it costs no answer its time.
        turns = asyncio.Semaphore(self._section.concurrency)

        async def answer(messages: Sequence[Message]) -> Generation:
            async with turns:
                return await self._answer(messages, params)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(answer(messages)) for messages in conversations]
        except BaseExceptionGroup as faults:
            raise faults.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _answer_each(
        self, calls: Iterator[Call], answered: Callable[[Call, Generation | TwinError], None]
    ) -> None:
        turns = asyncio.Semaphore(self._section.concurrency)

        async def answer(call: Call) -> None:
            try:
                found: Generation | TwinError = await self._answer(call.messages, call.params)
            except (TryAgainError, BadDataError) as error:
                found = error
            answered(call, found)
            turns.release()  # no other begins before this one is told of; a fault ends them all

        try:
            async with asyncio.TaskGroup() as group:
                await turns.acquire()
                for call in calls:
                    group.create_task(answer(call))
                    await turns.acquire()
        except BaseExceptionGroup as faults:
            raise faults.exceptions[0] from None

    async def _answer(self, messages: Sequence[Message], params: SamplingParams) -> Generation:
        async for piece in self._engine.stream(self._request(messages, params)):
            if isinstance(piece, Generation):
                return piece
        raise RuntimeError("the engine ended without a generation")

    def _pieces(
        self,
        messages: Sequence[Message],
        params: SamplingParams,
        should_stop: Callable[[], bool] | None,
    ) -> Iterator[str | Generation]:
        pieces = self._engine.stream(self._request(messages, params))
        text = ""
        while (piece := self._wait(_next(pieces))) is not None:
            yield piece
            if isinstance(piece, str):
                text += piece
                if should_stop is not None and should_stop():
                    self._wait(pieces.aclose())  # type: ignore[attr-defined] # an async generator
                    prompt = sum(estimated_tokens(turn["content"]) for turn in messages)
                    yield Generation(text, "stop", prompt, estimated_tokens(text))
                    return

    def _request(self, messages: Sequence[Message], params: SamplingParams) -> EngineRequest:
        return EngineRequest((), tuple(messages), params, timeout_seconds=self._answer_seconds)


def estimated_tokens(text: str) -> int:
    """Tokens of a text, estimated on the safe side."""
    return -(-len(text.encode("utf-8")) // BYTES_PER_TOKEN)


async def _next(pieces: AsyncIterator[str | Generation]) -> str | Generation | None:
    return await anext(pieces, None)
