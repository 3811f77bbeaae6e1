"""Answers in the shape of OpenAI's responses: whole, or as its events
(https://platform.openai.com/docs/api-reference/responses-streaming).

A response's id is its answer's behind ``resp_``.
"""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any, Self

from twin.domain.answer import Answer
from twin.domain.background import BackgroundAnswer
from twin.domain.feedback import KeptAnswer
from twin.rag.query import AnswerPart
from twin.serving.completions import citations, lineage
from twin.serving.errors import ApiError
from twin.serving.responses_schema import ResponseRequest

PREFIX = "resp_"


def response_id(answer_id: str) -> str:
    """The id of the response that an answer is."""
    return f"{PREFIX}{answer_id}"


def answer_id(response: str) -> str:
    """The id of the answer that a response is; of what is no response's id, one that is not."""
    return response.removeprefix(PREFIX) if response.startswith(PREFIX) else ""


@dataclass(frozen=True)
class ResponseHead:
    """What is known of a response before it is answered, and does not change.

    Attributes:
        identity: the answer's id.
        model: who answers.
        kept: whether another may go on from it.
        bound: whether the answer has to fit a schema, so that a refusal is no text.
        settings: what its caller has asked for, as OpenAI repeats it.
    """

    identity: str
    model: str
    kept: bool
    bound: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    created: float = field(default_factory=time.time)

    @classmethod
    def of(cls, identity: str, model: str, request: ResponseRequest, *, kept: bool) -> Self:
        """Of a request."""
        form = request.text.format
        described: dict[str, Any] = {"type": form.type}
        if form.type == "json_schema":
            described |= {"name": form.name, "schema": form.schema_, "strict": True}
        settings = {
            "background": request.background,
            "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens,
            "metadata": request.metadata,
            "previous_response_id": request.previous_response_id,
            "temperature": request.temperature,
            "text": {"format": described},
            "top_p": request.top_p,
        }
        return cls(identity, model, kept, bound=form.type != "text", settings=settings)

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The response with its answer."""
        cut = answer.finish_reason == "length"
        return {
            **self.begun(),
            "status": "incomplete" if cut else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "output": [self.message(self.content(answer), _status(answer))],
            "usage": _usage(answer),
            **lineage(answer),
        }

    def begun(self, **more: Any) -> dict[str, Any]:
        """The response before its answer."""
        return {
            "id": response_id(self.identity),
            "object": "response",
            "created_at": self.created,
            "background": False,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "max_output_tokens": None,
            "metadata": {},
            "model": self.model,
            "output": [],
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "store": self.kept,
            "temperature": None,
            "text": {"format": {"type": "text"}},
            "tool_choice": "none",
            "tools": [],
            "top_p": None,
            "truncation": "auto",
            "usage": None,
            **self.settings,
            **more,
        }

    def message(self, content: list[dict[str, Any]], status: str) -> dict[str, Any]:
        """The one item of the output."""
        return {
            "type": "message",
            "id": f"msg_{self.identity}",
            "status": status,
            "role": "assistant",
            "content": content,
        }

    def content(self, answer: Answer) -> list[dict[str, Any]]:
        """What the message holds."""
        if self.bound and answer.refused:
            return [{"type": "refusal", "refusal": answer.answer}]
        return [text_part(answer.answer, [flat(each) for each in citations(answer)])]


@dataclass
class ResponseEvents:
    """The events of one response as it is streamed, numbered."""

    head: ResponseHead
    number: int = -1
    #: Of the text so far: "output_text" or "refusal"; None before its first word.
    kind: str | None = None
    text: str = ""

    async def events(self, parts: AsyncIterator[AnswerPart]) -> AsyncIterator[str]:
        """Server-sent events; an error in mid-stream becomes an event too."""
        begun = self.head.begun()
        yield self._event("response.created", response=begun)
        yield self._event("response.in_progress", response=begun)
        item = self.head.message([], "in_progress")
        yield self._event("response.output_item.added", output_index=0, item=item)
        try:
            async for part in parts:
                if part.text:
                    for event in self._text(part):
                        yield event
                if part.answer:
                    for event in self._end(part.answer):
                        yield event
        except ApiError as error:
            said = {"code": "server_error", "message": error.message}
            failed = self.head.begun(status="failed", error=said)
            yield self._event("response.failed", response=failed)

    def _text(self, part: AnswerPart) -> list[str]:
        begun = [] if self.kind else [self._begin(refused=self.head.bound and part.refused)]
        self.text += part.text
        more: dict[str, Any] = {"logprobs": []} if self.kind == "output_text" else {}
        return [*begun, self._of_part(f"response.{self.kind}.delta", delta=part.text, **more)]

    def _begin(self, *, refused: bool) -> str:
        self.kind = "refusal" if refused else "output_text"
        empty = {"type": "refusal", "refusal": ""} if refused else text_part("", [])
        return self._of_part("response.content_part.added", part=empty)

    def _end(self, answer: Answer) -> list[str]:
        [content] = self.head.content(answer)
        said: list[str] = []
        if self.kind is None:  # not a word
            said.append(self._begin(refused=content["type"] == "refusal"))
        for number, annotation in enumerate(content.get("annotations", [])):
            said.append(
                self._of_part(
                    "response.output_text.annotation.added",
                    annotation_index=number,
                    annotation=annotation,
                )
            )
        if content["type"] == "refusal":
            said.append(self._of_part("response.refusal.done", refusal=content["refusal"]))
        else:
            done = {"text": content["text"], "logprobs": []}
            said.append(self._of_part("response.output_text.done", **done))
        said.append(self._of_part("response.content_part.done", part=content))
        item = self.head.message([content], _status(answer))
        said.append(self._event("response.output_item.done", output_index=0, item=item))
        whole = self.head.whole(answer)
        return [*said, self._event(f"response.{whole['status']}", response=whole)]

    def _of_part(self, kind: str, **more: Any) -> str:
        item = f"msg_{self.head.identity}"
        return self._event(kind, item_id=item, output_index=0, content_index=0, **more)

    def _event(self, kind: str, **data: Any) -> str:
        self.number += 1
        body = {"type": kind, "sequence_number": self.number, **data}
        return f"event: {kind}\ndata: {json.dumps(body, ensure_ascii=False)}\n\n"


def unanswered_response(found: BackgroundAnswer) -> dict[str, Any]:
    """A response in the background before its answer, or without one."""
    head = ResponseHead(
        found.id, found.model, kept=True,
        settings={"background": True}, created=found.created.timestamp(),
    )  # fmt: skip
    if found.request is not None:
        request = ResponseRequest.model_validate_json(found.request)
        asked = ResponseHead.of(found.id, found.model, request, kept=True)
        head = replace(asked, created=head.created)
    error = None if found.error is None else {"code": "server_error", "message": found.error}
    return head.begun(status=found.state.value, error=error)


def kept_response(kept: KeptAnswer, *, background: bool = False) -> dict[str, Any]:
    """A response as it can be read again; what its caller had set is not kept."""
    previous = response_id(kept.previous) if kept.previous else None
    head = ResponseHead(
        kept.answer.id,
        kept.answer.model,
        kept=True,
        settings={"background": background, "previous_response_id": previous},
        created=kept.created.timestamp(),
    )
    return head.whole(kept.answer)


def text_part(text: str, annotations: list[dict[str, Any]]) -> dict[str, Any]:
    """The part of a message that is text."""
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}


def flat(citation: dict[str, Any]) -> dict[str, Any]:
    """A citation as responses have it."""
    return {"type": "url_citation", **citation}


def _status(answer: Answer) -> str:
    return "incomplete" if answer.finish_reason == "length" else "completed"


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "input_tokens": answer.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answer.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }
