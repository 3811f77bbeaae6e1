"""The HTTP interface, over whatever answers behind it."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, Response, StreamingResponse

from twin.domain.answer import Answer
from twin.rag.query import AnswerPart
from twin.serving.access import BearerAccess, Keys
from twin.serving.answer_book import AnswerBook
from twin.serving.backend import Backend
from twin.serving.caller_limits import CallerLimits
from twin.serving.callers import caller_of
from twin.serving.completions import Completion
from twin.serving.errors import ApiError, install
from twin.serving.feedback_routes import add_feedback
from twin.serving.limits import BodyLimit
from twin.serving.metering import CallerLimiting, CallersBackend
from twin.serving.openapi import ASKING, DOCUMENT, READING, describe, refusals
from twin.serving.page import add_page
from twin.serving.requests_log import HEADER, HEALTH, RequestsLog
from twin.serving.response_schema import (
    EVENT_STREAM,
    ChatCompletion,
    Health,
    ModelCard,
    ModelList,
)
from twin.serving.routing import Target
from twin.serving.schema import AnswerRequest, ChatCompletionRequest

#: What the scripts of a web page may read of a response's headers, beside its id.
LIMIT_HEADERS = [
    f"x-ratelimit-{what}-{of}"
    for what in ("limit", "remaining", "reset")
    for of in ("requests", "tokens")
]

#: Proxies that buffer would turn a stream into one late piece.
STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

QUESTIONS = {
    "plain": {"summary": "a question", "value": {"question": "Why is every job a pod?"}},
    "several passages": {
        "summary": "from five passages, always the same answer",
        "value": {"question": "Why is every job a pod?", "k": 5, "temperature": 0},
    },
}
CHATS = {
    "plain": {
        "summary": "a question",
        "value": {
            "model": "twin-handbook",
            "messages": [{"role": "user", "content": "Why is every job a pod?"}],
        },
    },
    "streamed": {
        "summary": "a later turn, as it is written",
        "value": {
            "model": "twin-handbook",
            "messages": [
                {"role": "user", "content": "Why is every job a pod?"},
                {"role": "assistant", "content": "It states what it needs and gives it back."},
                {"role": "user", "content": "And on a laptop?"},
            ],
            "stream": True,
        },
    },
}


def create_app(
    backend: Backend,
    keys: Keys,
    max_body_bytes: int,
    *,
    book: AnswerBook | None = None,
    limits: CallerLimits | None = None,
    cors_origins: Sequence[str] = (),
    names_responses: bool = True,
) -> FastAPI:
    """The ASGI application.

    A request passes, from the outside in: its log line, the browser's preflight, its key, its
    caller's limits, the limit on its size. Its route sees the twins of its key alone.

    Args:
        backend: answers.
        keys: of those who may ask.
        max_body_bytes: largest body that is read.
        book: keeps answers, for feedback; without one none is kept.
        limits: of callers; None: each replica counts by itself.
        cors_origins: web pages' origins whose scripts may ask; "*" means all.
        names_responses: see `RequestsLog`.
    """
    app = FastAPI(title="LLM Twin", openapi_url=DOCUMENT, docs_url=None, redoc_url=None)
    describe(app)
    # Starlette puts the middleware that is added last outermost.
    app.add_middleware(BodyLimit, max_bytes=max_body_bytes)
    app.add_middleware(CallerLimiting, limits=limits or CallerLimits())
    app.add_middleware(BearerAccess, keys=keys)
    if cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["*"],  # OpenAI's client sends a dozen of its own
            expose_headers=[HEADER, "Retry-After", *LIMIT_HEADERS],
        )
    app.add_middleware(RequestsLog, names_responses=names_responses)
    install(app)
    backend = CallersBackend(backend)
    _add_reads(app, backend)
    _add_answers(app, backend, book)
    add_feedback(app, book)
    add_page(app)
    return app


def _add_reads(app: FastAPI, backend: Backend) -> None:
    @app.get(HEALTH, response_model=Health, responses=refusals(500))
    async def health() -> dict[str, Any]:
        """Whether requests are taken in; names the models in service. Needs no key."""
        return {"status": "ok", "models": backend.table.names()}

    @app.get(
        "/v1/models",
        response_model=ModelList,
        response_model_exclude_none=True,
        responses=READING,
    )
    async def models() -> dict[str, Any]:
        """The models that may be asked for, and each running version by its pinned name."""
        return {"object": "list", "data": [_model(name, backend) for name in backend.table.names()]}

    @app.get(
        "/v1/models/{name}",
        response_model=ModelCard,
        response_model_exclude_none=True,
        responses=READING,
    )
    async def model(name: str) -> dict[str, Any]:
        """One model."""
        backend.table.target(name)
        return _model(name, backend)


def _add_answers(app: FastAPI, backend: Backend, book: AnswerBook | None) -> None:
    def keep(http: Request, target: Target, answer: Answer) -> None:
        if book:
            book.keep(caller_of(http), answer, target.answers_kept_days)

    @app.post("/v1/answers", responses=ASKING)
    async def answers(
        request: Annotated[AnswerRequest, Body(openapi_examples=QUESTIONS)],
        http: Request,
    ) -> Answer:
        """Answer a question in the author's voice, with the sources that it came from."""
        target = backend.table.target(request.model)
        _check_length(request.question, target)
        answer = await backend.answer(target, request.query())
        keep(http, target, answer)
        return answer

    @app.post(
        "/v1/chat/completions",
        response_model=None,
        responses=ASKING
        | {200: {"model": ChatCompletion, "content": {"text/event-stream": EVENT_STREAM}}},
    )
    async def chat_completions(
        request: Annotated[ChatCompletionRequest, Body(openapi_examples=CHATS)],
        http: Request,
    ) -> Response:
        """OpenAI's chat completions: the last message is the question."""
        target = backend.table.target(request.model)
        query = request.query()
        _check_length(query.question, target)
        _check_length(query.system or "", target, what="the system text")
        completion = Completion(target)
        if not request.stream:
            answer = await backend.answer(target, query)
            keep(http, target, answer)
            return JSONResponse(completion.whole(answer))
        # The first part is awaited here, so that a refusal is a status and not an event.
        begun = await _begun(backend.stream(target, query))
        parts = _noted(begun, lambda answer: keep(http, target, answer))
        with_usage = request.stream_options.include_usage
        return StreamingResponse(
            completion.events(parts, with_usage=with_usage),
            media_type="text/event-stream",
            headers=STREAM_HEADERS,
        )


def _model(name: str, backend: Backend) -> dict[str, Any]:
    """OpenAI's fields, and for a model that is not pinned its versions' shares of traffic."""
    card: dict[str, Any] = {"id": name, "object": "model", "created": 0, "owned_by": "llm-twin"}
    route = backend.table.models.get(name)
    if route is None:
        return card
    told = {"author": route.author or None, "notice": route.notice or None}
    return card | {"versions": route.versions} | told


def _check_length(text: str, target: Target, *, what: str = "the question") -> None:
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


async def _begun(parts: AsyncIterator[AnswerPart]) -> AsyncIterator[AnswerPart]:
    first = await anext(parts)

    async def rest() -> AsyncIterator[AnswerPart]:
        yield first
        async for part in parts:
            yield part

    return rest()


async def _noted(
    parts: AsyncIterator[AnswerPart], note: Callable[[Answer], None]
) -> AsyncIterator[AnswerPart]:
    """The same parts; ``note`` is told of the answer before its caller is."""
    async for part in parts:
        if part.answer:
            note(part.answer)
        yield part
