"""What a replica of the router has seen of each version's answers, for the rollout that asks.

Kept in memory, the newest of each model, and lost with the replica: a rollout that runs again looks
at what comes in from then on.
"""

import asyncio
import random
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from twin.domain.answer import Answer
from twin.domain.errors import BadDataError
from twin.domain.observation import Observation, RouterReport, RouterReports, Verdict
from twin.rag.answer_guard import was_cleaned
from twin.rag.query import AnswerPart, EmbeddedTexts, FoundPassages, Query, TextsQuery
from twin.serving.backend import Backend
from twin.serving.errors import ApiError
from twin.serving.routing import RoutingTable, Target
from twin.serving.sticky import UNIT

#: Of one model: an hour of one answer a second.
KEPT = 4_000
#: Mirrored answers at a time: they wait in the same queues as those that callers wait for.
MIRRORED_AT_ONCE = 4

Reporting = Callable[[str, datetime | None], Awaitable[RouterReports]]

log = structlog.get_logger("twin.serving")


@dataclass
class Observations:
    """The newest answers and verdicts of each model."""

    replica: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    _number: int = 0
    _answers: dict[str, deque[Observation]] = field(default_factory=dict)
    _verdicts: dict[str, deque[Verdict]] = field(default_factory=dict)

    def add(self, model: str, version: str, unit: str, **seen: Any) -> None:
        """Keep what was seen of an answer."""
        self._number += 1
        kept = self._answers.setdefault(model, deque(maxlen=KEPT))
        kept.append(
            Observation(
                number=self._number, time=datetime.now(UTC), version=version, unit=unit, **seen
            )
        )

    def judge(self, model: str, verdict: Verdict) -> None:
        """Keep a caller's verdict."""
        self._verdicts.setdefault(model, deque(maxlen=KEPT)).append(verdict)

    def report(self, table: RoutingTable, model: str, since: datetime | None) -> RouterReport:
        """All of a model since a moment; None: no observations, the weights alone."""
        route = table.models.get(model)
        return RouterReport(
            replica=self.replica,
            generation=route.generation if route else 0,
            weights=dict(route.versions) if route else None,
            observations=tuple(
                item for item in self._answers.get(model, ()) if since and item.time >= since
            ),
            verdicts=tuple(self._verdicts.get(model, ())) if since else (),
        )


class ObservedBackend:
    """`twin.serving.backend.Backend` whose answers are observed, and mirrored where a table says.

    Whoever pins a version is no sample of those who ask, and is not observed.

    Args:
        backend: answers.
        observations: where what is seen is kept.
        reporting: asks every replica of the router for its own; None: there is this one alone.
    """

    def __init__(
        self,
        backend: Backend,
        observations: Observations | None = None,
        reporting: Reporting | None = None,
    ) -> None:
        self.observations = observations or Observations()
        self._backend = backend
        self._reporting = reporting or self._report_alone
        self._mirrored: set[asyncio.Task[None]] = set()

    @property
    def table(self) -> RoutingTable:
        """See `Backend.table`."""
        return self._backend.table

    async def answer(self, target: Target, query: Query) -> Answer:
        """See `Backend.answer`."""
        watch = self._watch(target, query)
        try:
            answer = await self._backend.answer(target, query)
        except BaseException as error:
            watch.broke(error)
            spare = self._spare(target, error)
            if spare is None:
                raise
            return await self._backend.answer(spare, query)
        watch.ended(answer)
        return answer

    async def stream(self, target: Target, query: Query) -> AsyncIterator[AnswerPart]:
        """See `Backend.stream`."""
        watch = self._watch(target, query)
        spare, begun = None, False
        try:
            async with aclosing(self._backend.stream(target, query)) as parts:  # type: ignore[type-var]
                async for part in parts:
                    begun = True
                    watch.passed(part)
                    yield part
        except BaseException as error:
            watch.broke(error)
            # What its caller has begun to read can't be begun again.
            spare = None if begun else self._spare(target, error)
            if spare is None:
                raise
        if spare is not None:
            async with aclosing(self._backend.stream(spare, query)) as parts:  # type: ignore[type-var]
                async for part in parts:
                    yield part

    async def search(self, target: Target, query: Query) -> FoundPassages:
        """See `Backend.search`."""
        return await self._backend.search(target, query)

    async def embed(self, target: Target, query: TextsQuery) -> EmbeddedTexts:
        """See `Backend.embed`."""
        return await self._backend.embed(target, query)

    async def report(self, model: str, since: datetime | None) -> RouterReports:
        """What all replicas of the router tell of a model; see `Observations.report`.

        Raises:
            ApiError: 503 where one does not answer.
        """
        return await self._reporting(model, since)

    async def _report_alone(self, model: str, since: datetime | None) -> RouterReports:
        return RouterReports(replicas=(self.observations.report(self.table, model, since),))

    def _watch(self, target: Target, query: Query) -> "_Watch":
        unit = UNIT.get()
        if target.pinned:
            return _Watch(None, target, unit)
        mirror = self.table.mirror(target, random.random())  # noqa: S311
        if mirror is None or len(self._mirrored) >= MIRRORED_AT_ONCE:
            return _Watch(self.observations, target, unit)
        pair = uuid.uuid4().hex
        task = asyncio.create_task(self._ask_mirror(mirror, query, unit, pair))
        self._mirrored.add(task)
        task.add_done_callback(self._mirrored.discard)
        return _Watch(self.observations, target, unit, pair)

    def _spare(self, target: Target, error: BaseException) -> Target | None:
        """Who is asked instead of a version that is on trial, and has failed a question."""
        if not _is_failure(error) or (isinstance(error, ApiError) and error.code == "overloaded"):
            return None
        return self.table.spare(target)

    async def _ask_mirror(self, target: Target, query: Query, unit: str, pair: str) -> None:
        """Ask a version what another one is asked too; its answer is measured and thrown away."""
        watch = _Watch(self.observations, target, unit, pair)
        try:
            async with aclosing(self._backend.stream(target, query)) as parts:  # type: ignore[type-var]
                async for part in parts:
                    watch.passed(part)
        except Exception as error:
            watch.broke(error)
            log.info("a mirrored question failed", version=target.version, reason=str(error)[:200])


@dataclass
class _Watch:
    """One answer while it is written. It is kept once: as whole, or as what broke it."""

    observations: Observations | None
    target: Target
    unit: str
    pair: str = ""
    begun: float = field(default_factory=time.monotonic)
    first: float | None = None
    kept: bool = False

    def passed(self, part: AnswerPart) -> None:
        if part.text and self.first is None:
            self.first = time.monotonic()
        if part.answer is not None:
            self.ended(part.answer)

    def ended(self, answer: Answer) -> None:
        checked = answer.sentences
        self._keep(
            answer.model_version,
            refused=answer.refused,
            grounded=answer.grounded
            and (not checked or any(sentence.supported for sentence in checked)),
            cleaned=was_cleaned(answer.answer),
            **self._speed(answer),
        )

    def broke(self, error: BaseException) -> None:
        """What came in the answer's place."""
        if _is_failure(error):
            self._keep(self.target.version, failed=True)

    def _speed(self, answer: Answer) -> dict[str, float]:
        """Of a streamed answer; one in a piece shows neither its first word nor its pace."""
        if self.first is None:
            return {}
        found = {"first_seconds": self.first - self.begun}
        seconds = time.monotonic() - self.first
        if answer.completion_tokens > 1 and seconds > 0:
            found["tokens_per_second"] = (answer.completion_tokens - 1) / seconds
        return found

    def _keep(self, version: str, **seen: Any) -> None:
        if self.observations is None or self.kept:
            return
        self.kept = True
        self.observations.add(self.target.model, version, self.unit, mirrored=self.pair, **seen)


def _is_failure(error: BaseException) -> bool:
    """Whether it is the version's: not where the caller has left, or is to blame."""
    if isinstance(error, (asyncio.CancelledError, GeneratorExit, BadDataError)):
        return False
    return not (isinstance(error, ApiError) and error.status < 500)
