"""The twin's own way to ask: an answer with its lineage, or passages without an answer."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, TypeAdapter

from twin.domain.answer import Answer, Passage
from twin.rag.query import AnswerPart, FoundPassages
from twin.serving.asking import STREAM_HEADERS, Asking
from twin.serving.errors import ApiError
from twin.serving.openapi import ASKING
from twin.serving.schema import AnswerRequest, SearchRequest

WHY = "Why is every job a pod?"
NARROWED = {
    "question": WHY,
    "k": 5,
    "filter": {"kinds": ["article"], "published_from": "2024-01-01"},
}
QUESTIONS: dict[str, Any] = {
    "plain": {"summary": "a question", "value": {"question": WHY}},
    "several passages": {
        "summary": "from five passages, always the same answer",
        "value": {"question": WHY, "k": 5, "temperature": 0},
    },
    "narrowed": {"summary": "from articles since 2024", "value": NARROWED},
    "streamed": {
        "summary": "the sources, then the text as it is written",
        "value": {"question": WHY, "stream": True},
    },
}
SEARCHES: dict[str, Any] = {
    "plain": {"summary": "a question", "value": {"question": WHY}},
    "narrowed": {"summary": "among articles since 2024", "value": NARROWED},
}
EVENTS: dict[str, Any] = {
    "schema": {
        "type": "object",
        "description": "server-sent events: `sources` once, `text` in pieces, at the end `answer` "
        "(whole and checked) or `error`; each one's data is JSON",
        "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
        "required": ["event", "data"],
    },
    "example": {"event": "text", "data": '{"text": "Every job"}'},
}
_SOURCES = TypeAdapter(tuple[Passage, ...])


class _Text(BaseModel):
    text: str


def add_answers(app: FastAPI, asking: Asking) -> None:
    """Add ``/v1/answers`` and ``/v1/search``."""

    @app.post(
        "/v1/answers",
        response_model=None,
        responses=ASKING | {200: {"model": Answer, "content": {"text/event-stream": EVENTS}}},
    )
    async def answers(
        request: Annotated[AnswerRequest, Body(openapi_examples=QUESTIONS)], http: Request
    ) -> Response:
        """Answer a question in the author's voice, with the sources that it came from."""
        asked = asking.asked(http, request.model, request.query())
        if not request.stream:
            return JSONResponse((await asking.answer(asked)).model_dump(mode="json"))
        events = _events(await asking.stream(asked))
        return StreamingResponse(events, media_type="text/event-stream", headers=STREAM_HEADERS)

    @app.post("/v1/search", responses=ASKING)
    async def search(
        request: Annotated[SearchRequest, Body(openapi_examples=SEARCHES)],
    ) -> FoundPassages:
        """The passages that an answer would be written from, and whether one would be."""
        return await asking.search(request.model, request.query())


async def _events(parts: AsyncIterator[AnswerPart]) -> AsyncIterator[str]:
    """Server-sent events of a stream; an error in mid-stream becomes an event too."""
    try:
        async for part in parts:
            if part.sources is not None:
                yield _event("sources", _SOURCES.dump_json(part.sources))
            if part.text:
                yield _event("text", _Text(text=part.text).model_dump_json().encode())
            if part.answer:
                yield _event("answer", part.answer.model_dump_json().encode())
    except ApiError as error:
        yield _event("error", error.response().body)


def _event(name: str, data: bytes | memoryview) -> str:
    return f"event: {name}\ndata: {bytes(data).decode()}\n\n"
