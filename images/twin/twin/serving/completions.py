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
from typing import Any

from twin.domain.answer import Answer
from twin.rag.query import AnswerPart
from twin.serving.errors import ApiError
from twin.serving.routing import Target

DONE = "data: [DONE]\n\n"


@dataclass(frozen=True)
class Completion:
    """What is the same in every chunk of a completion."""

    target: Target
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, answer: Answer) -> dict[str, Any]:
        """A ``chat.completion``."""
        message = {
            "role": "assistant", "content": answer.answer, "annotations": annotations(answer)
        }  # fmt: skip
        choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason}
        return {
            **self._head("chat.completion"),
            "choices": [choice],
            "usage": usage(answer),
            **_lineage(answer),
        }

    async def events(
        self, parts: AsyncIterator[AnswerPart], *, with_usage: bool
    ) -> AsyncIterator[str]:
        """Server-sent events of a stream; an error in mid-stream becomes an event too."""
        yield self._event({"role": "assistant", "content": ""})
        try:
            async for part in parts:
                if part.text:
                    yield self._event({"content": part.text})
                if part.answer:
                    for event in self._end(part.answer, with_usage=with_usage):
                        yield event
        except ApiError as error:
            yield _sse(error.body())
        yield DONE

    def _end(self, answer: Answer, *, with_usage: bool) -> list[str]:
        delta = {"annotations": annotations(answer)} if answer.sentences else {}
        last = self._event(delta, finish_reason=answer.finish_reason, **_lineage(answer))
        if not with_usage:
            return [last]
        head = self._head("chat.completion.chunk")
        return [last, _sse({**head, "choices": [], "usage": usage(answer)})]

    def _event(
        self, delta: dict[str, Any], finish_reason: str | None = None, **more: object
    ) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return _sse({**self._head("chat.completion.chunk"), "choices": [choice], **more})

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.target.model,
            "system_fingerprint": self.target.application,
        }


def usage(answer: Answer) -> dict[str, int]:
    """Tokens read and written."""
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }


def annotations(answer: Answer) -> list[dict[str, Any]]:
    """Citations as OpenAI has them: where in the text they stand, and the source's address."""
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": sentence.start,
                "end_index": sentence.end,
                "url": answer.sources[citation.source - 1].url,
                "title": answer.sources[citation.source - 1].title,
            },
        }
        for sentence in answer.sentences
        for citation in sentence.citations
    ]


def _lineage(answer: Answer) -> dict[str, Any]:
    return {
        "answer_id": answer.id,
        "sentences": [sentence.model_dump(mode="json") for sentence in answer.sentences],
        "sources": [source.model_dump(mode="json") for source in answer.sources],
        "grounded": answer.grounded,
        "model_version": answer.model_version,
        "trace_id": answer.trace_id,
    }


def _sse(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"
