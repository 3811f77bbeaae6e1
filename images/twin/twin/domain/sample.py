"""Training samples, each with the lineage back to the passage it was made from."""

import hashlib
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.conversation import Turn


class Split(StrEnum):
    """Which part of the data set a document, with all its samples, belongs to."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class Maker(StrEnum):
    """Where a sample comes from."""

    PASSAGE = "passage"
    """The answer is the author's passage, verbatim; the instruction is made from its headings."""
    WRITTEN = "written"
    """A person wrote question and answer (`twin.domain.written`)."""
    EDITED = "edited"
    """A passage that a person has changed (`twin.domain.verdict`): no longer verbatim."""


WITHHELD = "withheld"
"""Kind of a written question asked once more with the passages that answer it left out: the right
answer is then the refusal. A model that is always shown an answer does not learn to refuse."""


class InstructSample(BaseModel):
    """An instruction and the answer that fulfils it.

    ``context`` holds passages shown with the instruction (as retrieval would); it is empty for
    a sample that asks for writing from memory. ``history`` holds the turns before it.
    ``chunk_ids`` are the chunks that the answer follows from, ``chunk_id`` the first of them;
    both are empty where nothing answers the question and the answer is the refusal.
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
    maker: Maker = Maker.PASSAGE
    chunk_ids: tuple[str, ...] = ()
    history: tuple[Turn, ...] = ()
    kind: str = Field(default="", description="of a written question: what it asks for")
    facts: tuple[str, ...] = Field(
        default=(), description="of a written question: what a right answer must contain"
    )


class PreferencePair(BaseModel):
    """The sample's answer (chosen) against a model's own text (rejected) for one instruction."""

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
    history: tuple[Turn, ...] = ()


def draw_key(sample_id: str, seed: int) -> str:
    """A sort key that shuffles samples the same way every time."""
    return hashlib.sha256(f"{seed}\n{sample_id}".encode()).hexdigest()
