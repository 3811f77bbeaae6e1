"""An answer that was given, as far as monitoring looks at it."""

import hashlib
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.feedback import Feedback


class SeenAnswer(BaseModel):
    """A question with figures of its answer, not the answer itself."""

    model_config = ConfigDict(frozen=True)

    id: str
    caller: str = Field(description="id of the key that asked")
    opening: str = Field(description="first question of its conversation")
    created: datetime
    version: str
    question: str
    characters: int = Field(description="length of the answer")
    grounded: bool = Field(description="passages were found, and one supports a sentence")
    refused: bool
    prompt_tokens: int
    completion_tokens: int
    feedback: Feedback | None = None
    nearest: str = Field(default="", description="title of its first source; empty if it has none")

    @property
    def failed(self) -> bool:
        """Whether it was refused, came without a source, or its caller finds it bad."""
        rating = self.rating
        return self.refused or not self.grounded or (rating is not None and rating < 0.5)

    @property
    def conversation(self) -> str:
        """Digest of caller and opening question, as routers know a conversation."""
        return hashlib.sha256(f"{self.caller}\0{self.opening}".encode()).hexdigest()[:24]

    @property
    def rating(self) -> float | None:
        """How good its caller finds it, 0 to 1; None where nothing says so.

        A correction without a thumb or a score says that the answer was wrong.
        """
        if self.feedback is None:
            return None
        if self.feedback.score is not None:
            return self.feedback.score
        if self.feedback.thumb is not None:
            return 1.0 if self.feedback.thumb == "up" else 0.0
        return 0.0 if (self.feedback.correction or "").strip() else None
