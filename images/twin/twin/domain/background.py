"""Answers that are written while their caller does something else."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class State(StrEnum):
    """How far such an answer is, by OpenAI's names."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    CANCELLED = "cancelled"


PENDING = (State.QUEUED, State.IN_PROGRESS)


class BackgroundAnswer(BaseModel):
    """An answer to be written, until it is; then the answer itself lies with the others."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="the answer's")
    caller: str = Field(description="id of the key that asked")
    model: str = Field(description="as it was asked for")
    request: str | None = Field(default=None, description="the body as JSON; erased at the end")
    state: State = State.QUEUED
    created: datetime
    expires: datetime = Field(description="when it is deleted")
    give_up: datetime = Field(description="when it fails unless it has been written")
    due: datetime = Field(
        description="queued: when it may be begun; in progress: when its replica has ended unless "
        "it has said otherwise"
    )
    begun: int = Field(default=0, description="times that a replica has begun to write it")
    error: str | None = Field(default=None, description="of one that failed, for its caller")
    webhook: str | None = Field(default=None, description="where its end is told")
    told_due: datetime | None = Field(
        default=None, description="when its end is told next; None: told, or nobody is to be told"
    )
    tellings: int = Field(default=0, description="times that its end was told in vain")

    @property
    def is_answered(self) -> bool:
        """Whether its answer lies with the others."""
        return self.state in (State.COMPLETED, State.INCOMPLETE)
