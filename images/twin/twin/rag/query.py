"""What goes into the chain and what comes out piece by piece, as plain data."""

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.answer import Answer
from twin.domain.conversation import Turn


class Query(BaseModel):
    """A question. What is unset comes from the recipe; the recipe's limits hold in any case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str = Field(min_length=1)
    system: str | None = Field(default=None, description="a caller's own instruction")
    history: tuple[Turn, ...] = Field(default=(), description="earlier turns, oldest first")
    passages: int | None = Field(default=None, ge=1)
    max_new_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = None
    stop: tuple[str, ...] = ()


class AnswerPart(BaseModel):
    """A part of an answer that is streamed: text, or at the end the whole `Answer`."""

    model_config = ConfigDict(frozen=True)

    text: str = ""
    answer: Answer | None = None
