"""What callers send: OpenAI's chat completions, and the house's own questions.

The subset of https://platform.openai.com/docs/api-reference/chat/create that a text-only model
can honour. What it can't honour and would change the answer is refused rather than ignored;
fields that this does not know are ignored, as other compatible servers do.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from twin.domain.conversation import Turn
from twin.rag.query import Query

MAX_MESSAGES = 200

#: Seeds are signed 64-bit integers, as to those who draw the numbers.
SEEDS = 2**63

#: Asks for something that would silently be missing from the answer.
UNSUPPORTED = ("tools", "functions", "audio", "logprobs", "web_search_options")


def _is_text(text: str) -> str:
    """JSON can escape halves of characters, which no tokenizer or store takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a character (an unpaired surrogate)") from None
    return text


Text = Annotated[str, AfterValidator(_is_text)]


class TextPart(BaseModel):
    """A part of a message; only text is understood."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["text"]
    text: Text


class ChatMessage(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[TextPart] | None = None

    @property
    def text(self) -> str:
        """The message's text, its parts joined."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    """Options of a stream."""

    model_config = ConfigDict(extra="ignore")

    include_usage: bool = False


class Sampling(BaseModel):
    """Sampling parameters; unset ones come from the recipe, and its limits hold."""

    model_config = ConfigDict(extra="ignore")

    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = Field(default=None, ge=-SEEDS, lt=SEEDS)
    stop: Text | Annotated[list[Text], Field(max_length=4)] | None = None

    def overrides(self) -> dict[str, Any]:
        """As the fields of a `Query`."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return {
            "max_new_tokens": self.max_completion_tokens or self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
            "stop": tuple(text for text in stop if text),
        }


class ChatCompletionRequest(Sampling):
    """``POST /v1/chat/completions``: the last message is the question."""

    model: Text = Field(min_length=1, max_length=200)
    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None

    @model_validator(mode="before")
    @classmethod
    def _refuses_what_it_cannot_do(cls, data: Any) -> Any:
        if isinstance(data, dict):
            asked = [name for name in UNSUPPORTED if data.get(name)]
            if asked:
                raise ValueError(f"{asked[0]} is not supported")
            if (data.get("response_format") or {"type": "text"}) != {"type": "text"}:
                raise ValueError("response_format is not supported, other than text")
        return data

    @model_validator(mode="after")
    def _ends_with_a_question(self) -> Self:
        last = self.messages[-1]
        if last.role != "user" or not last.text.strip():
            raise ValueError("the last message must be the user's, and not empty")
        return self

    def query(self) -> Query:
        """As the chain takes it."""
        *earlier, last = self.messages
        return Query(
            question=last.text,
            system=_system(earlier),
            history=tuple(
                Turn(role=message.role, content=message.text)
                for message in earlier
                if message.role in ("user", "assistant") and message.text.strip()
            ),
            **self.overrides(),
        )


def _system(messages: Sequence[ChatMessage]) -> str | None:
    texts = [message.text for message in messages if message.role in ("system", "developer")]
    return "\n\n".join(text for text in texts if text.strip()) or None


class AnswerRequest(Sampling):
    """``POST /v1/answers``: a question, and how many passages to answer from."""

    question: Text
    model: Text | None = Field(
        default=None, max_length=200, description="may be left out while one model is in service"
    )
    k: int | None = Field(default=None, ge=1, le=20, description="passages to retrieve")

    @field_validator("question")
    @classmethod
    def _is_not_blank(cls, question: str) -> str:
        if not question.strip():
            raise ValueError("should not be blank")
        return question

    def query(self) -> Query:
        """As the chain takes it."""
        return Query(question=self.question, passages=self.k, **self.overrides())
