"""Replicas of the endpoint in this process, on real sockets, over a backend that is told when to
answer: what callers may do is decided before and after the answer, whatever writes it."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import uvicorn
from pydantic import SecretStr
from starlette.types import ASGIApp

from tests import servers
from twin.domain.answer import Answer
from twin.rag.query import AnswerPart, Query
from twin.serving.access import Keys, default_limits
from twin.serving.api import create_app
from twin.serving.caller_limits import CallerLimits
from twin.serving.key_follower import KeyFollower
from twin.serving.routing import RoutingTable
from twin.settings import Settings
from twin.stores.caller_counts import SharedCounts

GIVEN_KEY = "test-key"
MAX_BODY_BYTES = 100_000
TOKENS = 40
PIECES = 3
ROUTE = {"versions": {"1": 100}, "max_question_characters": 4_000}


@dataclass
class Scribe:
    """`twin.serving.backend.Backend` that writes the same answer to every question.

    Attributes:
        seconds: before the first word.
        may_end: cleared, answers stop after their first piece until it is set.
        streams_left: pieces of each stream that has ended.
        queries: what was asked, in order.
    """

    table: RoutingTable = field(
        default_factory=lambda: RoutingTable.model_validate(
            {"models": {"twin-a": ROUTE, "twin-b": ROUTE}}
        )
    )
    seconds: float = 0
    may_end: threading.Event = field(default_factory=threading.Event)
    streams_left: list[int] = field(default_factory=list)
    queries: list[Query] = field(default_factory=list)

    def __post_init__(self):
        self.may_end.set()

    async def answer(self, target, query):
        self.queries.append(query)
        await asyncio.sleep(self.seconds)
        await self._wait()
        return self._answer(target, query)

    async def stream(self, target, query):
        self.queries.append(query)
        sent = 0
        try:
            await asyncio.sleep(self.seconds)
            for number in range(PIECES):
                yield AnswerPart(text="word " * 8)
                sent += 1
                if number == 0:
                    await self._wait()
            yield AnswerPart(answer=self._answer(target, query))
        finally:
            self.streams_left.append(sent)

    async def _wait(self):
        while not self.may_end.is_set():
            await asyncio.sleep(0.01)

    def _answer(self, target, query):
        return Answer(
            id="1", question=query.question, answer="word " * 8 * PIECES, sources=(),
            model=target.model, model_version=target.version, trace_id="tr-1",
            prompt_tokens=TOKENS - 24, completion_tokens=24,
        )  # fmt: skip


@contextlib.contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """An application on a socket of its own; yields its URL."""
    port = servers.free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        servers.wait_until(lambda: server.started, "uvicorn")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def replica(settings: Settings, scribe: Scribe, clock=None) -> Iterator[str]:
    """A replica as a router builds it; yields its URL."""
    keys = Keys([SecretStr(GIVEN_KEY)], default_limits(settings))
    more = {"clock": clock} if clock else {}
    limits = CallerLimits(SharedCounts(settings), **more)
    app = create_app(scribe, keys, MAX_BODY_BYTES, limits=limits)
    follower = KeyFollower(keys, settings, seconds=0.1)
    follower.start()
    try:
        with served(app) as url:
            yield url
    finally:
        follower.end()


def client(url: str, key: str = GIVEN_KEY) -> httpx.Client:
    """A client that presents a key."""
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30)


def knows(url: str, key: str) -> bool:
    """Whether a replica takes a key by now."""
    with client(url, key) as caller:
        return caller.get("/v1/models").is_success


def ask(caller: httpx.Client, model: str = "twin-a", **more) -> httpx.Response:
    """One question."""
    return caller.post("/v1/answers", json={"question": "Why?", "model": model, **more})
