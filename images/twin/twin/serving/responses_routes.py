"""OpenAI's responses: an answer that the next question may go on from."""

import uuid
from collections.abc import Awaitable
from dataclasses import replace
from typing import Annotated, Any, TypeVar

from fastapi import Body, FastAPI, Path, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from twin.serving.answer_book import NOTHING_EARLIER, AnswerBook, Earlier
from twin.serving.asking import STREAM_HEADERS, Asked, Asking
from twin.serving.callers import caller_of
from twin.serving.errors import ApiError
from twin.serving.openapi import ASKING, READING
from twin.serving.response_schema import EVENT_STREAM
from twin.serving.responses import (
    ResponseEvents,
    ResponseHead,
    answer_id,
    kept_response,
)
from twin.serving.responses_schema import DeletedResponse, ResponseBody, ResponseRequest

ResponseId = Annotated[str, Path(description="a response's `id`")]
Found = TypeVar("Found")

EXAMPLES = {
    "plain": {
        "summary": "a question",
        "value": {"model": "twin-handbook", "input": "Why is every job a pod?"},
    },
    "items": {
        "summary": "with an instruction, as it is written",
        "value": {
            "model": "twin-handbook",
            "instructions": "Answer in one sentence.",
            "input": [{"role": "user", "content": "Why is every job a pod?"}],
            "stream": True,
            "store": False,
        },
    },
}


def add_responses(app: FastAPI, asking: Asking) -> None:
    """Add ``/v1/responses``."""

    @app.post(
        "/v1/responses",
        response_model=None,
        responses=ASKING
        | {200: {"model": ResponseBody, "content": {"text/event-stream": EVENT_STREAM}}},
    )
    async def responses(
        request: Annotated[ResponseRequest, Body(openapi_examples=EXAMPLES)], http: Request
    ) -> Response:
        """OpenAI's responses: the input's last message is the question.

        With `previous_response_id` it goes on from a response to the same key. Responses are kept
        as long as other answers are, and deleted with the documents that they come from.
        """
        asked = await _asked(asking, request, http)
        head = _head(asked, request)
        if not request.stream:
            return JSONResponse(head.whole(await asking.answer(asked)))
        events = ResponseEvents(head).events(await asking.stream(asked))
        return StreamingResponse(events, media_type="text/event-stream", headers=STREAM_HEADERS)

    _add_kept(app, asking.book)


def _add_kept(app: FastAPI, book: AnswerBook | None) -> None:
    @app.get("/v1/responses/{response}", response_model=ResponseBody, responses=READING)
    async def kept(response: ResponseId, http: Request) -> dict[str, Any]:
        """A response to this key, while it is kept."""
        finding = _kept(book).find(answer_id(response), caller_of(http))
        return kept_response(await _response(finding, response))

    @app.delete("/v1/responses/{response}", response_model=DeletedResponse, responses=READING)
    async def delete(response: ResponseId, http: Request) -> dict[str, Any]:
        """Delete a response to this key before its time; those that go on from it stay."""
        await _response(_kept(book).delete(answer_id(response), caller_of(http)), response)
        return {"id": response, "object": "response", "deleted": True}


async def _asked(asking: Asking, request: ResponseRequest, http: Request) -> Asked:
    earlier = request.earlier(await _previous(asking.book, request.previous_response_id, http))
    asked = asking.asked(http, request.model, request.query(earlier))
    return replace(asked, identity=uuid.uuid4().hex, keeps=request.store, earlier=earlier)


def _head(asked: Asked, request: ResponseRequest) -> ResponseHead:
    kept = request.store and asked.target.answers_kept_days > 0
    assert asked.identity is not None  # noqa: S101 - `_asked` gives it
    return ResponseHead.of(asked.identity, asked.target.model, request, kept=kept)


async def _previous(book: AnswerBook | None, response: str | None, http: Request) -> Earlier:
    """What a request goes on from.

    Raises:
        ApiError: 400 if it is not kept for this key, 503 if the store is away.
    """
    if response is None:
        return NOTHING_EARLIER
    try:
        return Earlier.of(await _kept(book).find(answer_id(response), caller_of(http)))
    except ApiError as error:
        if error.status != 404:
            raise
        raise ApiError(
            400,
            f"no response {response[:80]!r} to go on from: it was not given to this key, is not "
            "kept, or has expired",
            code="previous_response_not_found",
            param="previous_response_id",
        ) from None


async def _response(finding: Awaitable[Found], response: str) -> Found:
    """What is found, or the word for what is not."""
    try:
        return await finding
    except ApiError as error:
        if error.status != 404:
            raise
        raise ApiError(
            404,
            f"no response {response[:80]!r} to this key: it is not kept, or has expired",
            code="response_not_found",
        ) from None


def _kept(book: AnswerBook | None) -> AnswerBook:
    if book is None:
        raise ApiError(404, "responses are not kept here", code="response_not_found")
    return book
