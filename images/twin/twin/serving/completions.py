"""Answers in OpenAI's shapes: a completion, or the chunks of one as server-sent events
(https://platform.openai.com/docs/api-reference/chat-streaming).

Sentences that a source supports are ``annotations`` of type ``url_citation``, in a stream of the
last delta. What OpenAI's schema has no field for (sources, trace) goes into fields of its own,
which the official client keeps as extras.
"""

import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from twin.domain.answer import Answer
from twin.rag.query import AnswerPart
from twin.serving.errors import ApiError
from twin.serving.routing import Target

DONE = "data: [DONE]\n\n"

Choice = dict[str, Any]


@dataclass(frozen=True)
class TextCompletion:
    """A completion of a prompt: what is the same in every chunk of it."""

    target: Target
    id: str = field(default_factory=lambda: f"cmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    kind: ClassVar[str] = "text_completion"
    chunk_kind: ClassVar[str] = "text_completion"

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The completion in one piece."""
        return {
            **self._head(self.kind),
            "choices": [self._whole_choice(answer)],
            "usage": usage(answer),
            **lineage(answer),
        }

    async def events(
        self, parts: AsyncIterator[AnswerPart], *, with_usage: bool
    ) -> AsyncIterator[str]:
        """Server-sent events of a stream; an error in mid-stream becomes an event too."""
        for choice in self._first_choices():
            yield self._event(choice)
        try:
            async for part in parts:
                if part.text:
                    yield self._event(self._text_choice(part))
                if part.answer:
                    yield self._event(self._last_choice(part.answer), **lineage(part.answer))
                    if with_usage:
                        head = self._head(self.chunk_kind)
                        yield _sse({**head, "choices": [], "usage": usage(part.answer)})
        except ApiError as error:
            yield _sse(error.body())
        yield DONE

    def _whole_choice(self, answer: Answer) -> Choice:
        return _text(answer.answer, answer.finish_reason)

    def _first_choices(self) -> list[Choice]:
        return []

    def _text_choice(self, part: AnswerPart) -> Choice:
        return _text(part.text)

    def _last_choice(self, answer: Answer) -> Choice:
        return _text("", answer.finish_reason)

    def _event(self, choice: Choice, **more: object) -> str:
        return _sse({**self._head(self.chunk_kind), "choices": [choice], **more})

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.target.model,
            "system_fingerprint": self.target.application,
        }


@dataclass(frozen=True)
class ChatCompletion(TextCompletion):
    """A completion of a chat.

    Attributes:
        bound: whether the answer has to fit a schema, so that a refusal goes into a field of its
            own.
    """

    bound: bool = False
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")

    kind: ClassVar[str] = "chat.completion"
    chunk_kind: ClassVar[str] = "chat.completion.chunk"

    def _whole_choice(self, answer: Answer) -> Choice:
        refusal = answer.answer if self.bound and answer.refused else None
        message = {
            "role": "assistant",
            "content": answer.answer if refusal is None else None,
            "refusal": refusal,
            "annotations": annotations(answer),
        }
        return {"index": 0, "message": message, "finish_reason": answer.finish_reason}

    def _first_choices(self) -> list[Choice]:
        return [_delta({"role": "assistant", "content": ""})]

    def _text_choice(self, part: AnswerPart) -> Choice:
        name = "refusal" if self.bound and part.refused else "content"
        return _delta({name: part.text})

    def _last_choice(self, answer: Answer) -> Choice:
        delta = {"annotations": annotations(answer)} if answer.sentences else {}
        return _delta(delta, answer.finish_reason)


def _text(text: str, finish_reason: str | None = None) -> Choice:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}


def _delta(delta: dict[str, Any], finish_reason: str | None = None) -> Choice:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def usage(answer: Answer) -> dict[str, int]:
    """Tokens read and written."""
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }


def annotations(answer: Answer) -> list[dict[str, Any]]:
    """Citations as chat completions have them."""
    return [{"type": "url_citation", "url_citation": each} for each in citations(answer)]


def citations(answer: Answer) -> list[dict[str, Any]]:
    """Where in the text each citation stands, and the source's address."""
    return [
        {
            "start_index": sentence.start,
            "end_index": sentence.end,
            "url": answer.sources[citation.source - 1].url,
            "title": answer.sources[citation.source - 1].title,
        }
        for sentence in answer.sentences
        for citation in sentence.citations
    ]


def lineage(answer: Answer) -> dict[str, Any]:
    """What OpenAI has no field for: where the answer comes from."""
    return {
        "answer_id": answer.id,
        "sentences": [sentence.model_dump(mode="json") for sentence in answer.sentences],
        "sources": [source.model_dump(mode="json") for source in answer.sources],
        "grounded": answer.grounded,
        "refused": answer.refused,
        "model_version": answer.model_version,
        "configuration": answer.configuration,
        "prompt_version": answer.prompt_version,
        "trace_id": answer.trace_id,
    }


def _sse(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"
