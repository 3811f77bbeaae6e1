"""Limits around every request, and the tokens of its answers counted, whichever route it takes."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twin.domain.answer import Answer
from twin.domain.api_key import Right
from twin.rag.query import AnswerPart, EmbeddedTexts, FoundPassages, Query, TextsQuery
from twin.serving.access import CALLER, right_for
from twin.serving.backend import Backend
from twin.serving.caller_limits import CallerLimits
from twin.serving.errors import ApiError
from twin.serving.metrics import LIMITED, Metrics
from twin.serving.routing import RoutingTable, Target

#: What a token has in English, for answers that break off before they say what they took.
CHARACTERS_PER_TOKEN = 4


@dataclass
class Meter:
    """The tokens of one answer: as it says at its end, until then by its length."""

    query: Query
    answer: Answer | None = None
    characters: int = 0
    begun: bool = False

    @property
    def tokens(self) -> int:
        """Read and written."""
        if self.answer is not None:
            return self.answer.prompt_tokens + self.answer.completion_tokens
        if not self.begun:
            return 0
        asked = [self.query.question, self.query.system or ""]
        asked += [turn.content for turn in self.query.history]
        return math.ceil((sum(map(len, asked)) + self.characters) / CHARACTERS_PER_TOKEN)


@dataclass
class Metering:
    """All answers of one request, and the tokens of what it has embedded."""

    meters: list[Meter] = field(default_factory=list)
    embedded: int = 0

    def open(self, query: Query) -> Meter:
        """A meter for an answer that is about to be asked for."""
        meter = Meter(query)
        self.meters.append(meter)
        return meter

    @property
    def tokens(self) -> int:
        """Read and written by all."""
        return self.embedded + sum(meter.tokens for meter in self.meters)


METERING: ContextVar[Metering | None] = ContextVar("metering", default=None)


class CallersBackend:
    """`twin.serving.backend.Backend` as the caller of a request has it.

    Its table holds the twins of the caller's key alone, so that no route can forget to look, and
    its answers are metered.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def table(self) -> RoutingTable:
        """The models that the caller may ask; all where no key is needed."""
        caller = CALLER.get()
        return self._backend.table.only(caller.twins if caller else None)

    async def answer(self, target: Target, query: Query) -> Answer:
        """See `Backend.answer`."""
        meter = (METERING.get() or Metering()).open(query)
        try:
            meter.answer = await self._backend.answer(target, query)
        except asyncio.CancelledError:
            meter.begun = True  # the caller has gone, and the answer was being written
            raise
        return meter.answer

    async def stream(self, target: Target, query: Query) -> AsyncIterator[AnswerPart]:
        """See `Backend.stream`."""
        meter = (METERING.get() or Metering()).open(query)
        async with aclosing(self._backend.stream(target, query)) as parts:  # type: ignore[type-var]
            async for part in parts:
                meter.begun = meter.begun or part.sources is None
                meter.characters += len(part.text)
                meter.answer = part.answer or meter.answer
                yield part

    async def search(self, target: Target, query: Query) -> FoundPassages:
        """See `Backend.search`."""
        return await self._backend.search(target, query)

    async def embed(self, target: Target, query: TextsQuery) -> EmbeddedTexts:
        """See `Backend.embed`."""
        embedded = await self._backend.embed(target, query)
        (METERING.get() or Metering()).embedded += embedded.tokens
        return embedded


class CallerLimiting:
    """ASGI middleware that answers 429 to what a caller's limits forbid, and says what is left."""

    def __init__(self, app: ASGIApp, limits: CallerLimits, metrics: Metrics) -> None:
        self._app = app
        self._limits = limits
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection (https://asgi.readthedocs.io/en/latest/specs/main.html)."""
        caller = CALLER.get()
        if scope["type"] != "http" or caller is None:
            await self._app(scope, receive, send)
            return
        try:
            admission = await self._limits.admit(caller, asks=_asks(scope))
        except ApiError as error:
            self._metrics.count(LIMITED, code=error.code)
            await error.response()(scope, receive, send)
            return
        metering = Metering()
        token = METERING.set(metering)

        async def with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._limits.settle(admission)
                MutableHeaders(scope=message).update(admission.headers())
            await send(message)

        try:
            await self._app(scope, receive, with_limits)
        finally:
            METERING.reset(token)
            self._limits.release(admission, metering.tokens)


def _asks(scope: Scope) -> bool:
    """Whether a request has an answer written."""
    return scope["method"] == "POST" and right_for(scope["path"]) is Right.ASK
