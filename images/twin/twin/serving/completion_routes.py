"""OpenAI's older ways: a prompt that is completed, and texts that are embedded."""

import base64
import struct
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from twin.rag.query import EmbeddedTexts
from twin.serving.asking import STREAM_HEADERS, Asking
from twin.serving.completion_schema import CompletionRequest, EmbeddingsRequest
from twin.serving.completions import TextCompletion
from twin.serving.openapi import ASKING
from twin.serving.response_schema import EVENT_STREAM, EmbeddingList, TextCompletionBody

PROMPTS = {
    "plain": {
        "summary": "a question",
        "value": {"model": "twin-handbook", "prompt": "Why is every job a pod?"},
    },
}
INPUTS = {
    "passages": {
        "summary": "two texts",
        "value": {"model": "twin-handbook", "input": ["Every job is a pod.", "It ends."]},
    },
    "question": {
        "summary": "a question, as 32-bit floats in base64",
        "value": {
            "model": "twin-handbook",
            "input": "Why is every job a pod?",
            "input_type": "query",
            "encoding_format": "base64",
        },
    },
}


def add_text_completions(app: FastAPI, asking: Asking) -> None:
    """Add ``/v1/completions``."""

    @app.post(
        "/v1/completions",
        response_model=None,
        responses=ASKING
        | {200: {"model": TextCompletionBody, "content": {"text/event-stream": EVENT_STREAM}}},
    )
    async def completions(
        request: Annotated[CompletionRequest, Body(openapi_examples=PROMPTS)], http: Request
    ) -> Response:
        """OpenAI's older completions: the prompt is a question, answered like any other."""
        asked = asking.asked(http, request.model, request.query())
        completion = TextCompletion(asked.target)
        if not request.stream:
            return JSONResponse(completion.whole(await asking.answer(asked)))
        events = completion.events(
            await asking.stream(asked), with_usage=request.stream_options.include_usage
        )
        return StreamingResponse(events, media_type="text/event-stream", headers=STREAM_HEADERS)


def add_embeddings(app: FastAPI, asking: Asking) -> None:
    """Add ``/v1/embeddings``."""

    @app.post("/v1/embeddings", response_model=EmbeddingList, responses=ASKING)
    async def embeddings(
        request: Annotated[EmbeddingsRequest, Body(openapi_examples=INPUTS)],
    ) -> dict[str, Any]:
        """Vectors of texts, by the embedder that the twin's index was made with."""
        target = asking.backend.table.target(request.model)
        embedded = await asking.backend.embed(target, request.query())
        packed = request.encoding_format == "base64"
        return _embeddings(target.model, embedded, packed=packed)


def _embeddings(model: str, embedded: EmbeddedTexts, *, packed: bool) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(one) if packed else one}
            for index, one in enumerate(embedded.vectors)
        ],
        "model": model,
        "embedder": embedded.embedder,
        "usage": {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens},
    }


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
