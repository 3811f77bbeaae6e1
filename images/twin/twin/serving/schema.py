"""What callers send: OpenAI's chat completions, and the house's own questions.

The subset of https://platform.openai.com/docs/api-reference/chat/create that a text-only model
can honour. ``null`` means "not given" in every field. What cannot be honoured and would change the
answer is refused by name rather than ignored; fields that are unknown here are ignored, as other
compatible servers do.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from twin.domain.conversation import Turn
from twin.domain.feedback import Feedback
from twin.domain.profile import Profile
from twin.rag.expansion import Expansion
from twin.rag.manner import check_profile
from twin.rag.query import Query, TextsFilter
from twin.serving.answer_form import DESCRIPTION, FormKind, form_schema

#: Turns of a conversation that are read, the newest; the prompt holds far fewer.
MAX_TURNS = 200

MAX_STOPS = 4

#: Seeds are signed 64-bit integers, as to those who draw the numbers.
SEEDS = 2**63

#: What a part of a message is called that holds text: OpenAI's chat completions, its responses
#: API, and what a model of OpenAI's says when it refuses.
TEXT_PARTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}

Refused = Mapping[str, Callable[[Any], bool]]

#: Parameters that would change the answer and cannot be honoured, each with the test of a value
#: that asks for nothing.
UNSUPPORTED: Refused = {
    **dict.fromkeys(
        ("tools", "functions", "audio", "logprobs", "top_logprobs", "logit_bias"),
        lambda value: not value,
    ),
    **dict.fromkeys(("frequency_penalty", "presence_penalty"), lambda value: value == 0),
    **dict.fromkeys(("tool_choice", "function_call"), lambda value: value in ("none", "auto")),
    **dict.fromkeys(("web_search_options", "guided_json", "guided_regex", "guided_choice",
                     "guided_grammar", "structured_outputs"), lambda value: value is None),
    "best_of": lambda value: value == 1,
    "modalities": lambda value: value == ["text"],
    "verbosity": lambda value: value == "medium",
    "top_k": lambda value: value in (-1, 0),
    "min_p": lambda value: value == 0,
    "repetition_penalty": lambda value: value == 1,
}  # fmt: skip


def _is_text(text: str) -> str:
    """JSON can escape halves of characters, which no tokenizer or store takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a character (an unpaired surrogate)") from None
    return text


Text = Annotated[str, AfterValidator(_is_text)]


def _text_of(content: Any) -> Any:
    """A message's content as one text: its parts joined."""
    if not isinstance(content, list):
        if isinstance(content, str):
            return content
        raise ValueError("must be a text, or a list of parts of type text")
    return "\n".join(map(_text_of_part, content))


def _text_of_part(part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str):
        raise ValueError('each part must be an object with a "type"')
    if kind not in TEXT_PARTS:
        raise ValueError(f"only parts of type text are read, this one is of type {kind}")
    text = part.get(TEXT_PARTS[kind])
    if not isinstance(text, str):
        raise ValueError(f'a part of type {kind} needs its "{TEXT_PARTS[kind]}"')
    return text


def _stops(value: Any) -> Any:
    """One text or several, as a list without empty ones."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("must be a text or a list of texts")
    if len(texts) > MAX_STOPS:
        raise ValueError(f"has {len(texts)} texts: at most {MAX_STOPS} are taken")
    return [text for text in texts if text]


#: As the OpenAPI document has them.
CONTENT = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
                "required": ["type", "text"],
            },
        },
    ],
    "default": "",
}
_STOP = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "maxItems": MAX_STOPS},
    ],
    "description": "texts at which the answer ends",
    "default": [],
}


class Given(BaseModel):
    """An object of a request: a field that is ``null`` is as if it were not there."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {name: value for name, value in data.items() if value is not None}
        return data


class ChatMessage(Given):
    """One message of a conversation; what a client sends back of an earlier answer is accepted."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[Text, BeforeValidator(_text_of), WithJsonSchema(CONTENT)] = ""

    @model_validator(mode="before")
    @classmethod
    def _holds_no_calls(cls, data: Any) -> Any:
        for name in ("tool_calls", "function_call", "audio"):
            if isinstance(data, dict) and data.get(name):
                raise ValueError(f"{name} is not supported")
        return data


class StreamOptions(Given):
    """Options of a stream."""

    include_usage: bool = False


class JsonSchema(Given):
    """A JSON schema (2020-12) by a name, which changes nothing."""

    name: str = ""
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")


class ResponseFormat(Given):
    """The form of the answer."""

    type: FormKind = "text"
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _can_be_kept_to(self) -> Self:
        self.bounds()
        return self

    def bounds(self) -> str | None:
        """The schema that the answer has to fit, as text; None: any text will do."""
        return form_schema(self.type, self.json_schema.schema_ if self.json_schema else None)


class Drawing(Given):
    """How to choose among words, in OpenAI's ranges; what cannot be honoured is refused."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    profile: Annotated[Profile, AfterValidator(check_profile)] | None = Field(
        default=None,
        description="the manner of the answer, over that of the key; it changes no passage",
    )

    #: Names of parameters that are refused, each with the test of a value that asks for nothing.
    unsupported: ClassVar[Refused] = UNSUPPORTED

    @model_validator(mode="before")
    @classmethod
    def _refuses_what_it_cannot_do(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name, asks_nothing in cls.unsupported.items():
                if data.get(name) is not None and not asks_nothing(data[name]):
                    raise ValueError(f"{name} is not supported")
        return data

    def overrides(self) -> dict[str, Any]:
        """As the fields of a `Query`. A ``top_p`` of 0 keeps the likeliest token only: greedy."""
        greedy = self.top_p == 0
        return {
            "temperature": 0.0 if greedy else self.temperature,
            "top_p": None if greedy else self.top_p,
            "profile": self.profile,
        }


class Sampling(Drawing):
    """Sampling parameters of chat completions and answers.

    Unset ones come from the recipe, whose limits hold.
    """

    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = Field(default=None, ge=-SEEDS, lt=SEEDS)
    stop: Annotated[list[Text], BeforeValidator(_stops), WithJsonSchema(_STOP)] = []

    def overrides(self) -> dict[str, Any]:
        """As the fields of a `Query`."""
        return {
            "max_new_tokens": self.max_completion_tokens or self.max_tokens,
            "seed": self.seed,
            "stop": tuple(self.stop),
            **super().overrides(),
        }


def is_one(n: int) -> int:
    """One choice; several would each need an answer of its own."""
    if n != 1:
        raise ValueError(f"{n} choices are not supported: only 1 is")
    return n


ModelName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_is_text)]
Choices = Annotated[int, AfterValidator(is_one)]


class ChatCompletionRequest(Sampling):
    """``POST /v1/chat/completions``: the user's last messages are the question.

    Instructions (system, developer) may stand anywhere; messages of one role in a row are one.
    """

    model: ModelName
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    response_format: ResponseFormat = Field(default=ResponseFormat(), description=DESCRIPTION)
    n: Choices = 1

    @model_validator(mode="after")
    def _ends_with_a_question(self) -> Self:
        check_ends_with_a_question(turns_of(self.messages))
        return self

    def query(self) -> Query:
        """As the chain takes it."""
        *earlier, last = turns_of(self.messages)
        return Query(
            question=last.content,
            system=instructions_of(self.messages),
            history=tuple(earlier[-MAX_TURNS:]),
            json_schema=self.response_format.bounds(),
            **self.overrides(),
        )


def turns_of(messages: Sequence[ChatMessage]) -> list[Turn]:
    """What user and assistant said in turn, without empty messages."""
    said = (m for m in messages if m.role in ("user", "assistant") and m.content.strip())
    return [
        Turn.model_validate({"role": role, "content": joined(m.content for m in run)})
        for role, run in groupby(said, key=lambda message: message.role)
    ]


def instructions_of(messages: Sequence[ChatMessage]) -> str | None:
    """The instructions among messages, as one."""
    return joined(m.content for m in messages if m.role in ("system", "developer"))


def check_ends_with_a_question(turns: Sequence[Turn]) -> None:
    """Raises `ValueError` if nothing is asked at the end."""
    if not turns or turns[-1].role != "user":
        raise ValueError("the last message must be the user's, and not empty")


def joined(texts: Iterable[str | None]) -> str | None:
    """Texts as paragraphs of one; None if none says anything."""
    return "\n\n".join(text for text in texts if text and text.strip()) or None


def is_not_blank(text: str) -> str:
    """A text that says something."""
    if not text.strip():
        raise ValueError("must not be blank")
    return text


class FilterRequest(Given, TextsFilter):
    """Which texts are searched; a condition that is not known is refused."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("authors", "platforms", "sources", "kinds", "languages", "documents")
    @classmethod
    def _are_texts(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_is_text, values))


class Searching(Given):
    """What is searched for, and how."""

    question: Annotated[Text, AfterValidator(is_not_blank)]
    model: Text | None = Field(
        default=None, max_length=200, description="may be left out while one model is in service"
    )
    k: int | None = Field(default=None, ge=1, le=20, description="passages to retrieve")
    filter: FilterRequest | None = Field(default=None, description="which texts are searched")
    rerank: bool | None = Field(
        default=None, description="false leaves out the recipe's reranker, which is slower"
    )
    expand: Expansion | None = Field(
        default=None, description="the twin first writes other wordings, or a likely answer"
    )

    def searched(self) -> dict[str, Any]:
        """As the fields of a `Query`."""
        return {
            "question": self.question,
            "passages": self.k,
            "filter": self.filter,
            "rerank": self.rerank,
            "expansion": self.expand,
        }


class SearchRequest(Searching):
    """``POST /v1/search``."""

    def query(self) -> Query:
        """As the chain takes it."""
        return Query(**self.searched())


class AnswerRequest(Sampling, Searching):
    """``POST /v1/answers``: a question, and what to answer it from."""

    stream: bool = Field(
        default=False, description="server-sent events: sources, text as it is written, answer"
    )

    def query(self) -> Query:
        """As the chain takes it."""
        first = {"sources_first": True} if self.stream else {}
        return Query(**self.searched(), **first, **self.overrides())


class FeedbackRequest(Given, Feedback):
    """``POST /v1/answers/{id}/feedback``: at least one of the four."""

    @field_validator("correction", "comment")
    @classmethod
    def _are_texts(cls, text: str | None) -> str | None:
        return text if text is None else _is_text(text)
