"""Drafts in the author's manner: written, read again, revised. They are kept as answers are."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import Body, FastAPI, Path, Request
from fastapi import Query as Parameter
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel

from twin.domain.answer import Answer, Passage
from twin.domain.feedback import KeptAnswer
from twin.rag.query import AnswerPart, SectionBegins
from twin.serving.answer_book import AnswerBook, Earlier
from twin.serving.asking import STREAM_HEADERS, Asked, Asking, check_length
from twin.serving.callers import caller_of
from twin.serving.draft_schema import DraftRequest, DraftWish, RevisionRequest
from twin.serving.errors import ApiError
from twin.serving.openapi import ASKING, READING, refusals
from twin.serving.routing import Target

DraftId = Annotated[str, Path(description="a draft's `id`")]
MARKDOWN = "text/markdown; charset=utf-8"

TOPIC = "Why every job is a pod of its own"
EXAMPLES: dict[str, Any] = {
    "plain": {"summary": "a post", "value": {"topic": TOPIC}},
    "newsletter": {
        "summary": "an issue of a newsletter, from notes, as it is written",
        "value": {
            "topic": TOPIC,
            "kind": "newsletter",
            "length": "short",
            "language": "German",
            "notes": "- what it costs\n- how to roll it back",
            "stream": True,
        },
    },
    "thread": {
        "summary": "a thread by an outline, always the same",
        "value": {
            "topic": TOPIC,
            "kind": "thread",
            "outline": ["What a pod states", "What it gives back"],
            "temperature": 0,
        },
    },
}
REVISIONS: dict[str, Any] = {
    "whole": {"summary": "the whole draft", "value": {"instruction": "Make it shorter."}},
    "section": {
        "summary": "its second section",
        "value": {"instruction": "Name what it costs.", "section": 2},
    },
}
EVENTS: dict[str, Any] = {
    "schema": {
        "type": "object",
        "description": "server-sent events: `outline` once; for each section `section` (number, "
        "heading, sources) and `text` in pieces; at the end `draft` (whole and checked: its text "
        "counts) or `error`; each one's data is JSON",
        "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
        "required": ["event", "data"],
    },
    "example": {"event": "outline", "data": '{"outline": ["What a pod states"]}'},
}
AS_DRAFT: dict[int | str, dict[str, Any]] = {
    200: {"model": Answer, "content": {"text/event-stream": EVENTS}}
}


class _Outline(BaseModel):
    outline: tuple[str, ...]


class _Section(SectionBegins):
    sources: tuple[Passage, ...]


class _Text(BaseModel):
    text: str


def add_drafts(app: FastAPI, asking: Asking) -> None:
    """Add ``/v1/drafts``."""

    @app.post("/v1/drafts", response_model=None, responses=ASKING | AS_DRAFT)
    async def drafts(
        request: Annotated[DraftRequest, Body(openapi_examples=EXAMPLES)], http: Request
    ) -> Response:
        """Write a draft about a topic in the author's manner, from the author's texts.

        Its text is Markdown; `sentences` says which source each sentence comes from, and `draft`
        how it is made up, what is copied, and what contradicts the author's texts. Where these say
        nothing of the topic it is `refused`.
        """
        asked = asking.asked(http, request.model, request.query())
        check_lengths(request, asked.target)
        return await _written(asking, asked, stream=request.stream)

    @app.post("/v1/drafts/{draft}/revisions", response_model=None, responses=ASKING | AS_DRAFT)
    async def revisions(
        draft: DraftId,
        request: Annotated[RevisionRequest, Body(openapi_examples=REVISIONS)],
        http: Request,
    ) -> Response:
        """Write a draft again, changed by an instruction; it gets an `id` of its own.

        The version that wrote it writes again while it is in service, else its model's newest.
        """
        kept = await kept_draft(asking.book, draft, http)
        _check_section(request.section, kept.answer)
        query = request.query(kept.answer)
        _check_section(request.section, kept.answer)
        asked = asking.asked(http, _writer(asking, kept.answer), query)
        earlier = Earlier(kept.answer.id, (), kept.documents)
        asked = Asked(asked.caller, asked.target, query, earlier=earlier)
        return await _written(asking, asked, stream=request.stream)

    _add_reading(app, asking.book)


def _add_reading(app: FastAPI, book: AnswerBook | None) -> None:
    markdown: dict[int | str, dict[str, Any]] = {
        200: {"content": {"text/markdown": {"schema": {"type": "string"}}}}
    }

    @app.get(
        "/v1/drafts/{draft}",
        response_model=KeptAnswer,
        responses=READING | refusals(400) | markdown,
    )
    async def read_draft(
        draft: DraftId,
        http: Request,
        format: Annotated[
            Literal["json", "markdown"], Parameter(description="markdown: its text, as a file")
        ] = "json",
    ) -> Any:
        """A draft for this key, while it is kept: `answers_kept_days` of its recipe."""
        kept = await kept_draft(book, draft, http)
        if format == "json":
            return kept
        name = f'attachment; filename="draft-{kept.answer.id[:12]}.md"'
        return Response(
            markdown_of(kept.answer), media_type=MARKDOWN, headers={"Content-Disposition": name}
        )


async def kept_draft(book: AnswerBook | None, draft: str, http: Request) -> KeptAnswer:
    """A draft that was written for the caller's key.

    Raises:
        ApiError: 404 if there is none, 503 if the store is away.
    """
    missing = ApiError(
        404,
        f"no draft {draft[:80]!r} for this key: it was never written, is not kept, or has expired",
        code="draft_not_found",
    )
    if book is None:
        raise missing
    try:
        kept = await book.find(draft, caller_of(http))
    except ApiError as error:
        raise missing if error.status == 404 else error from None
    if kept.answer.draft is None:
        raise missing
    return kept


def markdown_of(answer: Answer) -> str:
    """A draft as a file: its text, then its sources, each once."""
    lines = [answer.answer]
    addresses = {source.url: source.title for source in answer.sources}
    if addresses:
        lines += ["", "---", "", "Sources:", ""]
        lines += [f"- [{_label(title)}](<{url}>)" for url, title in addresses.items()]
    return "\n".join(lines) + "\n"


def _label(title: str) -> str:
    return title.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")


async def _written(asking: Asking, asked: Asked, *, stream: bool) -> Response:
    if not stream:
        return JSONResponse((await asking.answer(asked)).model_dump(mode="json"))
    events = _events(await asking.stream(asked))
    return StreamingResponse(events, media_type="text/event-stream", headers=STREAM_HEADERS)


async def _events(parts: AsyncIterator[AnswerPart]) -> AsyncIterator[str]:
    """Server-sent events of a draft; an error in mid-stream becomes an event too."""
    try:
        async for part in parts:
            if part.outline is not None:
                yield _event("outline", _Outline(outline=part.outline))
            if part.section is not None:
                begins = _Section(**part.section.model_dump(), sources=part.sources or ())
                yield _event("section", begins)
            if part.text:
                yield _event("text", _Text(text=part.text))
            if part.answer:
                yield _event("draft", part.answer)
    except ApiError as error:
        yield f"event: error\ndata: {bytes(error.response().body).decode()}\n\n"


def _event(name: str, data: BaseModel) -> str:
    return f"event: {name}\ndata: {data.model_dump_json()}\n\n"


def check_lengths(request: DraftWish, target: Target) -> None:
    """Raises `ApiError` 400 for notes or an outline longer than the target's recipe allows."""
    check_length(request.notes, target, what="notes")
    check_length("\n".join(request.outline), target, what="the outline")


def _check_section(section: int | None, answer: Answer) -> None:
    count = len(answer.draft.sections) if answer.draft else 0
    if not count:
        raise ApiError(
            400, "nothing was written that could be revised", code="invalid_value", param="draft"
        )
    if section is not None and section > count:
        raise ApiError(
            400,
            f"section: must be at most {count}, the sections that the draft has",
            code="invalid_value",
            param="section",
        )


def _writer(asking: Asking, answer: Answer) -> str:
    """Name of who wrote a draft: that version if it still runs, else the model."""
    pinned = f"{answer.model}-v{answer.model_version}"
    return pinned if pinned in asking.backend.table.names() else answer.model
