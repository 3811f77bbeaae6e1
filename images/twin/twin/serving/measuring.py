"""Counts what becomes of answers, and shows it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from twin.domain.answer import Answer
from twin.domain.errors import BadDataError, TryAgainError
from twin.rag.query import AnswerPart, EmbeddedTexts, FoundPassages, Query, TextsQuery
from twin.serving.backend import Backend
from twin.serving.errors import RETRY_AFTER_SECONDS, ApiError
from twin.serving.metrics import ANSWERS, MEDIA_TYPE, PATH, SENTENCES, TOKENS, Metrics
from twin.serving.openapi import refusals
from twin.serving.routing import RoutingTable, Target


class MeasuredBackend:
    """`twin.serving.backend.Backend` whose answers are counted by how they end.

    What is refused as malformed is no answer, and is not counted.
    """

    def __init__(self, backend: Backend, metrics: Metrics) -> None:
        self._backend = backend
        self._metrics = metrics

    @property
    def table(self) -> RoutingTable:
        """See `Backend.table`."""
        return self._backend.table

    async def answer(self, target: Target, query: Query) -> Answer:
        """See `Backend.answer`."""
        with self._failures(target):
            answer = await self._backend.answer(target, query)
        self._ended(target, answer)
        return answer

    async def stream(self, target: Target, query: Query) -> AsyncIterator[AnswerPart]:
        """See `Backend.stream`."""
        last = None
        with self._failures(target):
            async with aclosing(self._backend.stream(target, query)) as parts:  # type: ignore[type-var]
                async for part in parts:
                    if part.answer:
                        last = part
                    else:
                        yield part
        # Out of the block above: who goes away now has had the answer.
        if last and last.answer:
            self._ended(target, last.answer)
            yield last

    async def search(self, target: Target, query: Query) -> FoundPassages:
        """See `Backend.search`."""
        return await self._backend.search(target, query)

    async def embed(self, target: Target, query: TextsQuery) -> EmbeddedTexts:
        """See `Backend.embed`."""
        return await self._backend.embed(target, query)

    @contextmanager
    def _failures(self, target: Target) -> Iterator[None]:
        try:
            yield
        except BadDataError:
            raise
        except (asyncio.CancelledError, GeneratorExit):
            self._count(target, "left")
            raise
        except ApiError as error:
            if error.status >= 500:
                self._count(target, "failed")
            raise
        except Exception:
            self._count(target, "failed")
            raise

    def _ended(self, target: Target, answer: Answer) -> None:
        labels = {
            "model": target.model,
            "version": answer.model_version,
            "prompt": answer.prompt_version,
        }
        answered = "grounded" if answer.grounded else "ungrounded"
        outcome = "refused" if answer.refused else answered
        self._metrics.count(ANSWERS, 1, outcome=outcome, **labels)
        self._metrics.count(TOKENS, answer.prompt_tokens, kind="prompt", **labels)
        self._metrics.count(TOKENS, answer.completion_tokens, kind="completion", **labels)
        supported = sum(sentence.supported for sentence in answer.sentences)
        self._metrics.count(SENTENCES, supported, supported="true", **labels)
        unsupported = len(answer.sentences) - supported
        self._metrics.count(SENTENCES, unsupported, supported="false", **labels)

    def _count(self, target: Target, outcome: str) -> None:
        labels = {"model": target.model, "version": target.version, "prompt": target.prompt}
        self._metrics.count(ANSWERS, 1, outcome=outcome, **labels)


TEXT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}}
}
REFUSED = (401, 403, 429, 500, 503)


def add_metrics(app: FastAPI, metrics: Metrics) -> None:
    """Add ``/metrics``."""

    @app.get(PATH, response_model=None, responses=TEXT | refusals(*REFUSED))
    async def read_metrics() -> PlainTextResponse:
        """What was measured, of all replicas, in Prometheus's text format; takes the right `admin`.

        Names that begin with `ray_twin_` are the twin's own. Behind Ray they are some seconds old.
        """
        try:
            return PlainTextResponse(await metrics.text(), media_type=MEDIA_TYPE)
        except TryAgainError as error:
            raise ApiError(
                503,
                f"{error}: try again in a few seconds",
                code="metrics_unavailable",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            ) from None
