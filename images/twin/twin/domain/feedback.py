"""What callers think of answers, and answers as they are kept for that."""

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from twin.domain.answer import Answer
from twin.domain.conversation import Turn

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
    """An answer as it was given, and what its caller thinks of it.

    One that goes on a kept conversation (`/v1/responses`) has the turns before it, and the ids of
    the documents that these came from: to forget one of them is to forget this answer too.
    """

    model_config = ConfigDict(frozen=True)

    answer: Answer
    created: datetime
    expires: datetime = Field(description="when it is deleted")
    feedback: Feedback | None = None
    previous: str | None = Field(default=None, description="id of the answer that it goes on from")
    history: tuple[Turn, ...] = Field(default=(), description="turns before it, oldest first")
    earlier_documents: tuple[str, ...] = Field(default=(), description="which these came from")

    @property
    def conversation(self) -> tuple[Turn, ...]:
        """All turns, this answer's too."""
        asked = Turn(role="user", content=self.answer.question)
        return (*self.history, asked, Turn(role="assistant", content=self.answer.answer))

    @property
    def documents(self) -> tuple[str, ...]:
        """Ids of all documents that the conversation comes from."""
        own = {source.document_id for source in self.answer.sources}
        drafted = self.answer.draft.documents if self.answer.draft else frozenset[str]()
        return tuple(sorted(own.union(drafted, self.earlier_documents)))
