"""What every way to ask does: find who answers, refuse what is too long, keep what was answered."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from starlette.requests import Request

from twin.domain.answer import Answer
from twin.domain.profile import Profile
from twin.rag.query import AnswerPart, FoundPassages, Query
from twin.serving.answer_book import NOTHING_EARLIER, AnswerBook, Earlier
from twin.serving.backend import Backend
from twin.serving.callers import caller_of
from twin.serving.errors import ApiError
from twin.serving.routing import Target
from twin.serving.sticky import UNIT, draw_of, unit_of

#: Proxies that buffer would turn a stream into one late piece.
STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


@dataclass(frozen=True)
class Asked:
    """A question on its way: who asks, what, and who is to answer.

    Attributes:
        identity: of the answer that is kept; None: the one that the chain gives it.
        keeps: whether the answer is kept at all.
        earlier: what it is kept with.
    """

    caller: str
    target: Target
    query: Query
    identity: str | None = None
    keeps: bool = True
    earlier: Earlier = NOTHING_EARLIER


class Asking:
    """Has questions answered by a backend.

    Args:
        backend: answers.
        book: keeps the answers; without one none is kept.
    """

    def __init__(self, backend: Backend, book: AnswerBook | None) -> None:
        self.backend = backend
        self.book = book

    def asked(self, http: Request, model: str | None, query: Query) -> Asked:
        """A question once it is known who answers it.

        Raises:
            ApiError: no such model, or more to read than its recipe allows.
        """
        table, caller = self.backend.table, caller_of(http)
        unit = unit_of(table.sticky(model), caller, query.history, query.question)
        target = table.target(model, draw=draw_of(unit))
        check_length(query.question, target)
        check_length(query.system or "", target, what="the system text")
        UNIT.set(unit)
        return Asked(caller, target, _in_manner(query, http))

    async def search(self, model: str | None, query: Query) -> FoundPassages:
        """The passages that an answer would be written from.

        Raises:
            ApiError: no such model, or more to read than its recipe allows.
        """
        target = self.backend.table.target(model)
        check_length(query.question, target)
        return await self.backend.search(target, query)

    async def answer(self, asked: Asked) -> Answer:
        """The whole answer."""
        return self._kept(asked, await self.backend.answer(asked.target, asked.query))

    async def stream(self, asked: Asked) -> AsyncIterator[AnswerPart]:
        """The answer's parts. The first is awaited here: a refusal is a status and not an event."""
        parts = self.backend.stream(asked.target, asked.query)
        first = await anext(parts)

        async def rest() -> AsyncIterator[AnswerPart]:
            async with aclosing(parts):  # type: ignore[type-var]
                yield self._noted(asked, first)
                async for part in parts:
                    yield self._noted(asked, part)

        return rest()

    def _noted(self, asked: Asked, part: AnswerPart) -> AnswerPart:
        if part.answer is None:
            return part
        return part.model_copy(update={"answer": self._kept(asked, part.answer)})

    def _kept(self, asked: Asked, answer: Answer) -> Answer:
        """The answer, kept before its caller has it."""
        if asked.identity is not None:
            answer = answer.model_copy(update={"id": asked.identity})
        if self.book and asked.keeps:
            days = asked.target.answers_kept_days
            self.book.keep(asked.caller, answer, days, asked.earlier)
        return answer


def _in_manner(query: Query, http: Request) -> Query:
    """The question with what its key's profile says and the request's own leaves open."""
    caller = http.scope.get("state", {}).get("caller")
    given = caller.profile if caller is not None else None
    if given is None:
        return query
    profile = (query.profile or Profile()).over(given)
    return query.model_copy(update={"profile": profile})


def check_length(text: str, target: Target, *, what: str = "the question") -> None:
    """Refuse what is too long before it reaches a replica.

    Raises:
        ApiError: 400, in the words of OpenAI's code for it.
    """
    if len(text) > target.max_question_characters:
        raise ApiError(
            400,
            f"{what} has {len(text):,} characters: at most "
            f"{target.max_question_characters:,} are read",
            code="context_length_exceeded",
        )
