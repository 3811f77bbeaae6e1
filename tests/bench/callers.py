"""Callers of the endpoint and of an engine: tokens a second, seconds to the first token."""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from twin.models.engines.engine import Engine, EngineRequest
from twin.models.language_model import Generation


@dataclass(frozen=True)
class Answered:
    """One answer: seconds to its first text, and tokens of its prompt and text."""

    first: float
    prompt_tokens: int
    tokens: int


@dataclass(frozen=True)
class Load:
    """What some streams met together."""

    answers: list[Answered]
    seconds: float

    @property
    def tokens_a_second(self) -> float:
        """Written tokens of all streams a second, prefill included."""
        return sum(answer.tokens for answer in self.answers) / self.seconds

    @property
    def first(self) -> float:
        """Median seconds to the first text."""
        return statistics.median(answer.first for answer in self.answers)


async def streams(
    count: int, questions: Sequence[str], ask: Callable[[str], Awaitable[Answered]]
) -> Load:
    """Ask all questions by so many callers, each with one question at a time."""
    left = list(reversed(questions))
    answers: list[Answered] = []

    async def caller() -> None:
        while left:
            answers.append(await ask(left.pop()))

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(count)))
    return Load(answers, time.perf_counter() - started)


async def ask_engine(engine: Engine, request: EngineRequest) -> Answered:
    """One answer straight from an engine."""
    started, first = time.perf_counter(), None
    async for piece in engine.stream(request):
        first = first or time.perf_counter() - started
        if isinstance(piece, Generation):
            return Answered(first, piece.prompt_tokens, piece.completion_tokens)
    raise RuntimeError("no end")


async def ask_endpoint(http: httpx.AsyncClient, body: dict[str, object]) -> Answered:
    """One streamed answer through the endpoint."""
    started, first, usage = time.perf_counter(), None, None
    wanted = {**body, "stream": True, "stream_options": {"include_usage": True}}
    async with http.stream("POST", "/v1/chat/completions", json=wanted) as response:
        if response.is_error:
            raise RuntimeError((await response.aread()).decode())
        async for event in _events(response):
            if "error" in event:
                raise RuntimeError(event["error"]["message"])
            usage = event.get("usage") or usage
            if any(choice["delta"].get("content") for choice in event["choices"]):
                first = first or time.perf_counter() - started
    return Answered(first or 0.0, usage["prompt_tokens"], usage["completion_tokens"])


async def _events(response: httpx.Response) -> AsyncIterator[dict]:
    async for line in response.aiter_lines():
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


async def requests_a_second(url: str, callers: int, seconds: float) -> float:
    """GETs a second over kept connections, by a client that costs as little as it can."""
    address = urlsplit(url)
    request = f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
    ends = time.perf_counter() + seconds

    async def caller() -> int:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        done = 0
        while time.perf_counter() < ends:
            writer.write(request)
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    raise
                # A server may close a kept connection, as a proxy does that is configured anew.
                reader, writer = await asyncio.open_connection(address.hostname, address.port)
                continue
            if b" 200 " not in head.split(b"\r\n", 1)[0]:
                raise RuntimeError(head.decode())
            length = next(
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length")
            )
            await reader.readexactly(length)
            done += 1
        writer.close()
        return done

    return sum(await asyncio.gather(*(caller() for _ in range(callers)))) / seconds
