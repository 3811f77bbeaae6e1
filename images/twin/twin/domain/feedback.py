"""What callers think of answers, and answers as they are kept for that."""

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from twin.domain.answer import Answer

LONGEST_CORRECTION = 20_000
LONGEST_COMMENT = 4_000


class Feedback(BaseModel):
    """A caller's judgement of an answer: at least one of the four."""

    model_config = ConfigDict(frozen=True)

    thumb: Literal["up", "down"] | None = None
    score: float | None = Field(default=None, ge=0, le=1, description="0: useless, 1: perfect")
    correction: str | None = Field(
        default=None, max_length=LONGEST_CORRECTION, description="what the answer should have been"
    )
    comment: str | None = Field(default=None, max_length=LONGEST_COMMENT)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        texts = (text for text in (self.correction, self.comment) if text is not None)
        if self.thumb is None and self.score is None and not any(map(str.strip, texts)):
            raise ValueError("give at least one of thumb, score, correction and comment")
        return self


class KeptAnswer(BaseModel):
    """An answer as it was given, and what its caller thinks of it."""

    model_config = ConfigDict(frozen=True)

    answer: Answer
    created: datetime
    expires: datetime = Field(description="when it is deleted")
    feedback: Feedback | None = None
