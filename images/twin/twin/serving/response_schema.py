"""What the endpoint sends back in OpenAI's shapes, as its OpenAPI document describes it.

`twin.serving.completions` and `twin.serving.errors` make these; a test holds them to it.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.answer import CheckedSentence, Passage


class ErrorDetail(BaseModel):
    """What is wrong, in words, and for programs."""

    message: str
    type: Literal["invalid_request_error", "authentication_error", "server_error"] | str
    param: str | None = Field(description="the parameter that is at fault, where it is known")
    code: str


class ErrorBody(BaseModel):
    """Every error, in OpenAI's shape."""

    error: ErrorDetail


class Health(BaseModel):
    """Requests are taken in."""

    status: Literal["ok"]
    models: list[str]


class ModelCard(BaseModel):
    """A model, or one running version of it by its pinned name."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    versions: dict[str, int] | None = Field(
        default=None, description="of a model that is not pinned: each version's share in percent"
    )
    author: str | None = Field(default=None, description="whose twin it is")
    notice: str | None = Field(default=None, description="what people are told of who answers")


class ModelList(BaseModel):
    """The models that may be asked for."""

    object: Literal["list"]
    data: list[ModelCard]


class UrlCitation(BaseModel):
    """A sentence of the text, in characters (Unicode code points), and where it comes from."""

    start_index: int
    end_index: int
    url: str
    title: str


class Annotation(BaseModel):
    """OpenAI's form of a citation."""

    type: Literal["url_citation"]
    url_citation: UrlCitation


class CompletionMessage(BaseModel):
    """The answer."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None = Field(description="in place of JSON: the author has not written about it")
    annotations: list[Annotation]


class Choice(BaseModel):
    """The one choice that there is."""

    index: Literal[0]
    message: CompletionMessage
    finish_reason: str = Field(description="stop, or length where the tokens or the time ran out")


class Usage(BaseModel):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerLineage(BaseModel):
    """What an answer comes from: the twin's own, beside the fields of OpenAI's shapes."""

    model_config = ConfigDict(protected_namespaces=())

    answer_id: str = Field(description="for `/v1/answers/{id}` and feedback")
    sources: list[Passage]
    sentences: list[CheckedSentence]
    grounded: bool
    refused: bool
    model_version: str
    configuration: str = Field(description="digest of what shaped it beside the weights")
    prompt_version: str
    trace_id: str


class ChatCompletionBody(AnswerLineage):
    """OpenAI's ``chat.completion``, and beside its fields what the answer comes from."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str = Field(description="the version that answered")
    choices: list[Choice]
    usage: Usage


class TextChoice(BaseModel):
    """The one completion that there is."""

    index: Literal[0]
    text: str
    logprobs: None
    finish_reason: str = Field(description="stop, or length where the tokens or the time ran out")


class TextCompletionBody(AnswerLineage):
    """OpenAI's ``text_completion``, and beside its fields what the answer comes from."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str = Field(description="the version that answered")
    choices: list[TextChoice]
    usage: Usage


class Embedding(BaseModel):
    """A text's unit vector; as base64 its 32-bit floats, the lowest byte first."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    """Tokens read, by the embedder's own tokenizer."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    """Vectors in the order of the texts."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    embedder: str = Field(description="by name and digest: others' vectors are not compared")
    usage: EmbeddingUsage


#: One event of a stream; its data is a chunk of OpenAI's, and ``[DONE]`` at the end.
EVENT_STREAM: dict[str, Any] = {
    "schema": {
        "type": "object",
        "description": "one server-sent event: a chunk as JSON, or [DONE]",
        "properties": {"data": {"type": "string"}},
        "required": ["data"],
    },
    "example": {"data": "[DONE]"},
}
