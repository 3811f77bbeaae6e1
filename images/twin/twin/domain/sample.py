"""Training samples, each with the lineage back to the passage it was made from."""

import hashlib
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Split(StrEnum):
    """Which part of the data set a document, with all its samples, belongs to."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class InstructSample(BaseModel):
    """An instruction and the author's own passage that fulfils it, verbatim.

    ``context`` holds passages shown with the instruction (as retrieval would); it is empty for
    a sample that asks for writing from memory.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    split: Split
    instruction: str
    context: tuple[str, ...] = ()
    answer: str
    document_id: str
    revision: str
    chunk_id: str
    title: str
    url: str


class PreferencePair(BaseModel):
    """The author's passage (chosen) against a model's own text (rejected) for one instruction."""

    model_config = ConfigDict(frozen=True)

    id: str
    split: Split
    instruction: str
    context: tuple[str, ...] = ()
    chosen: str
    rejected: str
    rejected_by: str
    document_id: str
    revision: str
    chunk_id: str


def draw_key(sample_id: str, seed: int) -> str:
    """A sort key that shuffles samples the same way every time."""
    return hashlib.sha256(f"{seed}\n{sample_id}".encode()).hexdigest()
