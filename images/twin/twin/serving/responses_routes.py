"""OpenAI's responses: an answer that the next question may go on from."""

import uuid
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar

from fastapi import Body, FastAPI, Path, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from twin.domain.background import BackgroundAnswer
from twin.serving.answer_book import AnswerBook
from twin.serving.asking import STREAM_HEADERS, Asked, Asking
from twin.serving.background import BackgroundWriter
from twin.serving.callers import caller_of
from twin.serving.errors import ApiError
from twin.serving.openapi import ASKING, READING
from twin.serving.previous_response import previous
from twin.serving.response_schema import EVENT_STREAM
from twin.serving.responses import (
    ResponseEvents,
    ResponseHead,
    answer_id,
    kept_response,
    unanswered_response,
)
from twin.serving.responses_schema import (
    DeletedResponse,
    ResponseBody,
    ResponseRequest,
    UnansweredResponse,
)

ResponseId = Annotated[str, Path(description="a response's `id`")]
AnyResponse = ResponseBody | UnansweredResponse
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
    "background": {
        "summary": "to be read later",
        "value": {
            "model": "twin-handbook",
            "input": "Why is every job a pod?",
            "background": True,
        },
    },
}


def add_responses(app: FastAPI, asking: Asking, background: BackgroundWriter | None) -> None:
    """Add ``/v1/responses``; without a writer none is written in the background."""

    @app.post(
        "/v1/responses",
        response_model=None,
        responses=ASKING
        | {200: {"model": AnyResponse, "content": {"text/event-stream": EVENT_STREAM}}},
    )
    async def responses(
        request: Annotated[ResponseRequest, Body(openapi_examples=EXAMPLES)], http: Request
    ) -> Response:
        """OpenAI's responses: the input's last message is the question.

        With `previous_response_id` it goes on from a response to the same key. Responses are kept
        as long as other answers are, and deleted with the documents that they come from. With
        `background` the response comes back at once, `queued`, and is read by its id until it has
        ended, or until `webhook` is told.
        """
        asked = await _asked(asking, request, http)
        if request.background:
            days = asked.target.answers_kept_days
            made = await _writer(background).submit(asked.caller, request, days)
            return JSONResponse(unanswered_response(made))
        head = _head(asked, request)
        if not request.stream:
            return JSONResponse(head.whole(await asking.answer(asked)))
        events = ResponseEvents(head).events(await asking.stream(asked))
        return StreamingResponse(events, media_type="text/event-stream", headers=STREAM_HEADERS)

    _add_kept(app, KeptResponses(asking.book, background))


@dataclass(frozen=True)
class KeptResponses:
    """Responses as they are read later, whether they were waited for or not.

    Every method raises `ApiError`: 404 if the caller has no such response, 503 if the store is
    away.
    """

    book: AnswerBook | None
    background: BackgroundWriter | None

    async def read(self, response: str, caller: str) -> dict[str, Any]:
        """One as it is now."""
        found = await self._in_background(response, caller)
        if found is not None and not found.is_answered:
            return unanswered_response(found)
        finding = _kept(self.book).find(answer_id(response), caller)
        return kept_response(await _response(finding, response), background=found is not None)

    async def cancel(self, response: str, caller: str) -> dict[str, Any]:
        """One as it is after it was cancelled, unless it had ended before."""
        found = await self._in_background(response, caller)
        if found is None or self.background is None:
            raise _not_found(response)
        await self.background.cancel(found)
        return await self.read(response, caller)

    async def delete(self, response: str, caller: str) -> None:
        """Erase one."""
        found = await self._in_background(response, caller)
        if found is not None and self.background is not None:
            await self.background.delete(found)
        if found is None or found.is_answered:
            await _response(_kept(self.book).delete(answer_id(response), caller), response)

    async def _in_background(self, response: str, caller: str) -> BackgroundAnswer | None:
        if self.background is None:
            return None
        return await self.background.find(answer_id(response), caller)


def _add_kept(app: FastAPI, kept: KeptResponses) -> None:
    @app.get("/v1/responses/{response}", response_model=AnyResponse, responses=READING)
    async def read(response: ResponseId, http: Request) -> dict[str, Any]:
        """A response to this key, while it is kept."""
        return await kept.read(response, caller_of(http))

    @app.post("/v1/responses/{response}/cancel", response_model=AnyResponse, responses=READING)
    async def cancel(response: ResponseId, http: Request) -> dict[str, Any]:
        """Cancel a response in the background; one that has ended stays as it is."""
        return await kept.cancel(response, caller_of(http))

    @app.delete("/v1/responses/{response}", response_model=DeletedResponse, responses=READING)
    async def delete(response: ResponseId, http: Request) -> dict[str, Any]:
        """Delete a response to this key before its time; those that go on from it stay."""
        await kept.delete(response, caller_of(http))
        return {"id": response, "object": "response", "deleted": True}


async def _asked(asking: Asking, request: ResponseRequest, http: Request) -> Asked:
    earlier = request.earlier(await previous(asking.book, request, caller_of(http)))
    asked = asking.asked(http, request.model, request.query(earlier))
    return replace(asked, identity=uuid.uuid4().hex, keeps=request.store, earlier=earlier)


def _head(asked: Asked, request: ResponseRequest) -> ResponseHead:
    kept = request.store and asked.target.answers_kept_days > 0
    assert asked.identity is not None  # noqa: S101 - `_asked` gives it
    return ResponseHead.of(asked.identity, asked.target.model, request, kept=kept)


async def _response(finding: Awaitable[Found], response: str) -> Found:
    """What is found, or the word for what is not."""
    try:
        return await finding
    except ApiError as error:
        if error.status != 404:
            raise
        raise _not_found(response) from None


def _not_found(response: str) -> ApiError:
    return ApiError(
        404,
        f"no response {response[:80]!r} to this key: it is not kept, or has expired",
        code="response_not_found",
    )


def _writer(background: BackgroundWriter | None) -> BackgroundWriter:
    if background is None:
        raise ApiError(
            400, "background: responses are not kept here, so none could be read later",
            code="invalid_value", param="background",
        )  # fmt: skip
    return background


def _kept(book: AnswerBook | None) -> AnswerBook:
    if book is None:
        raise ApiError(404, "responses are not kept here", code="response_not_found")
    return book
