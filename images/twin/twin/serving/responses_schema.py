"""What callers send to ``/v1/responses``, and the form of what they get.

The text-only subset of https://platform.openai.com/docs/api-reference/responses.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    WithJsonSchema,
    model_validator,
)

from twin.rag.query import Query
from twin.serving.answer_book import Earlier
from twin.serving.answer_form import DESCRIPTION, FormKind, form_schema
from twin.serving.response_schema import AnswerLineage
from twin.serving.schema import (
    CONTENT,
    MAX_TURNS,
    UNSUPPORTED,
    ChatMessage,
    Drawing,
    Given,
    ModelName,
    Refused,
    Text,
    check_ends_with_a_question,
    instructions_of,
    joined,
    turns_of,
)

MAX_METADATA = 16
LONGEST_URL = 2_000


def _says_nothing(value: Any) -> bool:
    """An object without any value."""
    return isinstance(value, dict) and not any(value.values())


def _messages(given: Any) -> Any:
    """A text is the user's message."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list):
        raise ValueError("must be a text or a list of messages")
    return given


def _are_few(metadata: dict[str, str]) -> dict[str, str]:
    if len(metadata) > MAX_METADATA:
        raise ValueError(f"has {len(metadata)} names: at most {MAX_METADATA} are taken")
    return metadata


class InputMessage(ChatMessage):
    """One item of the input."""

    type: Literal["message"] = "message"

    @model_validator(mode="before")
    @classmethod
    def _is_a_message(cls, data: Any) -> Any:
        kind = data.get("type") if isinstance(data, dict) else None
        if kind not in (None, "message"):
            raise ValueError(f"only items of type message are read, this one is of type {kind}")
        return data


class TextForm(Given):
    """The form of the answer: as ``response_format`` of chat completions, without its envelope."""

    type: FormKind = "text"
    name: str = ""
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")

    @model_validator(mode="after")
    def _can_be_kept_to(self) -> Self:
        self.bounds()
        return self

    def bounds(self) -> str | None:
        """The schema that the answer has to fit, as text; None: any text will do."""
        return form_schema(self.type, self.schema_)


class TextOptions(Given):
    """How the answer's text is to be."""

    format: TextForm = Field(default=TextForm(), description=DESCRIPTION)
    verbosity: Literal["medium"] = "medium"


#: As the OpenAPI document has it.
_INPUT = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "type": {"const": "message"},
                    "role": {"enum": ["system", "developer", "user", "assistant"]},
                    "content": CONTENT,
                },
                "required": ["role", "content"],
            },
        },
    ]
}


class ResponseRequest(Drawing):
    """``POST /v1/responses``: the last user's messages of the input are the question.

    ``instructions`` hold for this response alone, also where another goes on from it.
    """

    unsupported: ClassVar[Refused] = {
        **UNSUPPORTED,
        # An object here, and a text in chat completions.
        "verbosity": lambda _: False,
        "reasoning": _says_nothing,
        **dict.fromkeys(("include", "context_management"), lambda value: not value),
        **dict.fromkeys(("conversation", "prompt"), lambda _: False),
    }

    model: ModelName
    input: Annotated[list[InputMessage], BeforeValidator(_messages), WithJsonSchema(_INPUT)]
    instructions: Text | None = None
    previous_response_id: Annotated[str, Field(max_length=200)] | None = Field(
        default=None, description="of a response to the same key that is still kept"
    )
    stream: bool = False
    store: bool = Field(default=True, description="whether to keep it, to go on from and to judge")
    background: bool = Field(
        default=False, description="come back at once; the answer is read later by its id"
    )
    webhook: Annotated[str, Field(max_length=LONGEST_URL)] | None = Field(
        default=None,
        description="https address that is told the end of an answer in the background, by an "
        "event of OpenAI's (`response.completed` and the like) with Standard Webhooks' signature",
    )
    max_output_tokens: int | None = Field(default=None, ge=1)
    text: TextOptions = TextOptions()
    metadata: Annotated[dict[str, Text], AfterValidator(_are_few)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ends_with_a_question(self) -> Self:
        check_ends_with_a_question(turns_of(self.input))
        return self

    @model_validator(mode="after")
    def _can_be_in_the_background(self) -> Self:
        if self.background and self.stream:
            raise ValueError("stream is not supported in the background: read the answer by its id")
        if self.background and not self.store:
            raise ValueError("background needs store: true, since the answer is read later")
        if self.webhook is not None and not self.background:
            raise ValueError("webhook needs background: true")
        if self.webhook is not None and not self.webhook.isascii():
            raise ValueError("webhook must be an address in ASCII")
        return self

    def earlier(self, previous: Earlier) -> Earlier:
        """What the answer goes on from: what is kept, and what the input has before its end."""
        *turns, _ = turns_of(self.input)
        return Earlier(previous.previous, (*previous.turns, *turns), previous.documents)

    def query(self, earlier: Earlier) -> Query:
        """As the chain takes it."""
        return Query(
            question=turns_of(self.input)[-1].content,
            system=joined((self.instructions, instructions_of(self.input))),
            history=earlier.turns[-MAX_TURNS:],
            json_schema=self.text.format.bounds(),
            max_new_tokens=self.max_output_tokens,
            **self.overrides(),
        )


class FlatCitation(BaseModel):
    """A sentence of the text, in characters (Unicode code points), and where it comes from."""

    type: Literal["url_citation"]
    start_index: int
    end_index: int
    url: str
    title: str


class OutputText(BaseModel):
    """The answer's text."""

    type: Literal["output_text"]
    text: str
    annotations: list[FlatCitation]
    logprobs: list[Any] = Field(max_length=0)


class OutputRefusal(BaseModel):
    """In place of JSON: the author has not written about it."""

    type: Literal["refusal"]
    refusal: str


class OutputMessage(BaseModel):
    """The answer."""

    type: Literal["message"]
    id: str
    status: Literal["in_progress", "completed", "incomplete"]
    role: Literal["assistant"]
    content: list[OutputText | OutputRefusal]


class InputDetails(BaseModel):
    """What of the input came from a cache: not counted."""

    cached_tokens: Literal[0]
    cache_write_tokens: Literal[0]


class OutputDetails(BaseModel):
    """What of the output was thought and not said."""

    reasoning_tokens: Literal[0]


class ResponseUsage(BaseModel):
    """Tokens read and written."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int


class ResponseFrame(BaseModel):
    """OpenAI's ``response`` around its answer."""

    id: str
    object: Literal["response"]
    created_at: float
    background: bool
    incomplete_details: dict[str, str] | None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    model: str
    parallel_tool_calls: bool
    previous_response_id: str | None
    store: bool
    temperature: float | None
    text: dict[str, Any]
    tool_choice: Literal["none"]
    tools: list[Any] = Field(max_length=0)
    top_p: float | None
    truncation: Literal["auto"]


class ResponseBody(ResponseFrame, AnswerLineage):
    """OpenAI's ``response``, and beside its fields what the answer comes from."""

    status: Literal["completed", "incomplete"]
    error: None
    output: list[OutputMessage]
    usage: ResponseUsage


class ResponseFault(BaseModel):
    """Why there will be no answer."""

    code: str
    message: str


class UnansweredResponse(ResponseFrame):
    """A response in the background without an answer: not yet, or never."""

    status: Literal["queued", "in_progress", "failed", "cancelled"]
    error: ResponseFault | None
    output: list[OutputMessage] = Field(max_length=0)
    usage: None


class DeletedResponse(BaseModel):
    """A response that is kept no more."""

    id: str
    object: Literal["response"]
    deleted: Literal[True]
