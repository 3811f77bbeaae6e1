"""What the endpoint gives back, and what people say of it."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Passage(BaseModel):
    """A retrieved chunk with its rank (from 1) and fused score (higher is better)."""

    model_config = ConfigDict(frozen=True)

    rank: int
    score: float
    chunk_id: str
    document_id: str
    revision: str
    url: str
    title: str
    headings: tuple[str, ...] = ()
    text: str


class Answer(BaseModel):
    """An answer with the lineage that explains it."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    id: str
    question: str
    answer: str
    sources: tuple[Passage, ...]
    model: str = Field(description="registered model, e.g. twin-handbook")
    model_version: str
    trace_id: str
    finish_reason: str = "stop"
    prompt_tokens: int
    completion_tokens: int


class Verdict(StrEnum):
    """A reader's judgement of an answer."""

    GOOD = "good"
    BAD = "bad"


class Feedback(BaseModel):
    """A reader's judgement, tied to the answer's trace."""

    model_config = ConfigDict(frozen=True)

    trace_id: str
    verdict: Verdict
    comment: str | None = None
    given: datetime
