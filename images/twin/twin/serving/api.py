"""The HTTP interface, over whatever answers behind it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, Response, StreamingResponse

from twin.serving.access import BearerAccess, Keys
from twin.serving.answer_book import AnswerBook
from twin.serving.answer_routes import add_answers
from twin.serving.asking import STREAM_HEADERS, Asking
from twin.serving.backend import Backend
from twin.serving.background import BackgroundWriter
from twin.serving.caller_limits import CallerLimits
from twin.serving.completion_routes import add_embeddings, add_text_completions
from twin.serving.completions import ChatCompletion
from twin.serving.draft_comparison_routes import add_draft_comparisons
from twin.serving.draft_routes import add_drafts
from twin.serving.errors import install
from twin.serving.feedback_routes import add_feedback
from twin.serving.limits import BodyLimit
from twin.serving.mcp_routes import McpEndpoint, add_mcp
from twin.serving.measuring import MeasuredBackend, add_metrics
from twin.serving.metering import CallerLimiting, CallersBackend
from twin.serving.metrics import Metrics, ProcessMetrics
from twin.serving.observing import ObservedBackend
from twin.serving.openapi import ASKING, DOCUMENT, READING, describe, refusals
from twin.serving.page import add_page
from twin.serving.readiness import Readiness, add_readiness
from twin.serving.requests_log import HEADER, HEALTH, RequestsLog
from twin.serving.response_schema import (
    EVENT_STREAM,
    ChatCompletionBody,
    Health,
    ModelCard,
    ModelList,
)
from twin.serving.responses_routes import add_responses
from twin.serving.rollout_routes import add_rollouts
from twin.serving.schema import ChatCompletionRequest

#: What the scripts of a web page may read of a response's headers, beside its id.
LIMIT_HEADERS = [
    f"x-ratelimit-{what}-{of}"
    for what in ("limit", "remaining", "reset")
    for of in ("requests", "tokens")
]

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
    metrics: Metrics | None = None,
    cors_origins: Sequence[str] = (),
    names_responses: bool = True,
) -> FastAPI:
    """The ASGI application.

    A request passes, from the outside in: its log line, the browser's preflight, its key, its
    caller's limits, the limit on its size. Its route sees the twins of its key alone.

    Args:
        backend: answers; what is seen of them is told to rollouts by this process alone, unless it
            is an `ObservedBackend` already.
        keys: of those who may ask.
        max_body_bytes: largest body that is read.
        book: keeps answers, for feedback; without one none is kept.
        limits: of callers; None: each replica counts by itself.
        metrics: of what the replicas do; None: this process measures alone.
        cors_origins: web pages' origins whose scripts may ask; "*" means all.
        names_responses: see `RequestsLog`.
    """
    metrics = metrics or ProcessMetrics()
    observed = backend if isinstance(backend, ObservedBackend) else ObservedBackend(backend)
    readiness = Readiness(backend)
    backend = CallersBackend(MeasuredBackend(observed, metrics))
    asking = Asking(backend, book)
    limits = limits or CallerLimits()
    mcp = McpEndpoint(asking, max_body_bytes)
    background = BackgroundWriter(asking, book, keys, limits, metrics) if book else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with mcp.running(), background.running() if background else nullcontext():
            yield

    app = FastAPI(
        title="LLM Twin", openapi_url=DOCUMENT, docs_url=None, redoc_url=None, lifespan=lifespan
    )
    describe(app)
    # Starlette puts the middleware that is added last outermost.
    app.add_middleware(BodyLimit, max_bytes=max_body_bytes)
    app.add_middleware(CallerLimiting, limits=limits, metrics=metrics)
    app.add_middleware(BearerAccess, keys=keys)
    if cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],  # OpenAI's client sends a dozen of its own
            expose_headers=[HEADER, "Retry-After", *LIMIT_HEADERS],
        )
    app.add_middleware(RequestsLog, names_responses=names_responses)
    install(app)
    add_rollouts(app, observed)
    add_readiness(app, readiness)
    _add_reads(app, backend)
    add_answers(app, asking)
    _add_chat_completions(app, asking)
    add_text_completions(app, asking)
    add_embeddings(app, asking)
    add_responses(app, asking, background)
    add_draft_comparisons(app, asking)
    add_drafts(app, asking)
    add_feedback(app, book, observed.observations)
    add_metrics(app, metrics)
    add_page(app)
    add_mcp(app, mcp)
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


def _add_chat_completions(app: FastAPI, asking: Asking) -> None:
    @app.post(
        "/v1/chat/completions",
        response_model=None,
        responses=ASKING
        | {200: {"model": ChatCompletionBody, "content": {"text/event-stream": EVENT_STREAM}}},
    )
    async def chat_completions(
        request: Annotated[ChatCompletionRequest, Body(openapi_examples=CHATS)],
        http: Request,
    ) -> Response:
        """OpenAI's chat completions: the last message is the question."""
        query = request.query()
        asked = asking.asked(http, request.model, query)
        completion = ChatCompletion(asked.target, bound=query.json_schema is not None)
        if not request.stream:
            return JSONResponse(completion.whole(await asking.answer(asked)))
        events = completion.events(
            await asking.stream(asked), with_usage=request.stream_options.include_usage
        )
        return StreamingResponse(events, media_type="text/event-stream", headers=STREAM_HEADERS)


def _model(name: str, backend: Backend) -> dict[str, Any]:
    """OpenAI's fields, and for a model that is not pinned its versions' shares of traffic."""
    card: dict[str, Any] = {"id": name, "object": "model", "created": 0, "owned_by": "llm-twin"}
    route = backend.table.models.get(name)
    if route is None:
        return card
    told = {"author": route.author or None, "notice": route.notice or None}
    return card | {"versions": route.versions} | told
