"""Preference pairs that callers' feedback on answers suggests, before people have reviewed them."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.sample import PreferencePair


class Basis(StrEnum):
    """What of the feedback a pair rests on."""

    CORRECTION = "correction"
    """A caller wrote what the answer should have been."""
    THUMBS = "thumbs"
    """Of two answers to the same question one was liked and one was not."""


class FeedbackSource(BaseModel):
    """A chunk that was shown for the answer, and the document and revision that it is of."""

    model_config = ConfigDict(frozen=True)

    document_id: str
    revision: str
    chunk_id: str
    url: str = ""


class FeedbackPair(BaseModel):
    """A candidate: nothing is trained on it unless a person says so.

    Its pair is of training documents only.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    pair: PreferencePair
    basis: Basis
    chosen_answer_id: str = Field(
        default="", description="of the answer that was liked; a correction is no answer"
    )
    model_version: str = Field(description="that gave the rejected answer")
    created: datetime = Field(description="when the rejected answer was given")
    sources: tuple[FeedbackSource, ...] = Field(min_length=1, description="as they were shown")
    documents: tuple[str, ...] = Field(
        min_length=1,
        description="ids of all that the conversation comes from: it is forgotten with each",
    )
    fault: str = Field(default="", description="why a gate would leave it out, for people to see")
