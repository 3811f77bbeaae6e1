"""What callers send to ``/v1/completions`` and ``/v1/embeddings``."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from twin.rag.query import Query, TextsQuery
from twin.serving.schema import (
    UNSUPPORTED,
    Choices,
    Given,
    ModelName,
    Refused,
    Sampling,
    StreamOptions,
    Text,
    is_not_blank,
)

#: Texts that one request may have embedded.
MAX_INPUTS = 256


def _one_text(prompt: Any) -> Any:
    """A prompt that stands alone in a list is taken for itself."""
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise ValueError("must be one text: several prompts and token ids are not read")
    return prompt


def _texts(given: Any) -> Any:
    """One text or several, as a list."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("must be a text or a list of texts: token ids are not read")
    if not 0 < len(texts) <= MAX_INPUTS:
        raise ValueError(f"has {len(texts):,} texts: from 1 to {MAX_INPUTS} are taken")
    return texts


_PROMPT = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 1},
    ]
}
_INPUT = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_INPUTS},
    ]
}


class CompletionRequest(Sampling):
    """``POST /v1/completions``: the prompt is the question."""

    unsupported: ClassVar[Refused] = {
        **UNSUPPORTED,
        "echo": lambda value: value is False,
        "suffix": lambda value: value == "",
    }

    model: ModelName
    prompt: Annotated[
        Text,
        AfterValidator(is_not_blank),
        BeforeValidator(_one_text),
        WithJsonSchema(_PROMPT),
    ]
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    n: Choices = 1

    def query(self) -> Query:
        """As the chain takes it."""
        return Query(question=self.prompt, **self.overrides())


class EmbeddingsRequest(Given):
    """``POST /v1/embeddings``: texts by the embedder that the twin's index was made with."""

    model: ModelName
    input: Annotated[
        list[Annotated[Text, AfterValidator(is_not_blank)]],
        BeforeValidator(_texts),
        WithJsonSchema(_INPUT),
    ]
    encoding_format: Literal["float", "base64"] = Field(
        default="float", description="base64: of 32-bit floats, the lowest byte first"
    )
    dimensions: int | None = Field(
        default=None, ge=1, description="the embedder's own; others are refused"
    )
    input_type: Literal["passage", "query"] = Field(
        default="passage", description="query: questions, which some embedders tell from passages"
    )

    def query(self) -> TextsQuery:
        """As the chain takes it."""
        return TextsQuery(
            texts=tuple(self.input),
            questions=self.input_type == "query",
            dimensions=self.dimensions,
        )
