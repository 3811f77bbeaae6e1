"""Training samples, each with the lineage back to the passage it was made from."""

import hashlib
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.conversation import Turn
from twin.domain.written import QuestionKind, missing_facts, refuses


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
    TEACHER = "teacher"
    """A language model wrote part of it: which part, its kind says (`TeacherKind`)."""


class TeacherKind(StrEnum):
    """What a teacher wrote of a sample."""

    INSTRUCTION = "instruction"
    """The instruction; the answer is the author's passage, verbatim."""
    QUESTION = "question"
    """Question and answer, which follows from the passages shown."""
    REWRITE = "rewrite"
    """A plain text that says what the passage says; the answer is the passage, verbatim."""


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
    kind: str = Field(
        default="", description="of a written question: what it asks for; of a teacher's: its part"
    )
    facts: tuple[str, ...] = Field(
        default=(), description="of a written question: what a right answer must contain"
    )

    @property
    def is_verbatim(self) -> bool:
        """Whether the answer is the author's passage, word for word."""
        taught = self.maker is Maker.TEACHER and self.kind != TeacherKind.QUESTION
        return self.maker is Maker.PASSAGE or taught

    @property
    def is_by_person(self) -> bool:
        """Whether a person wrote its answer for it: no machine overrules that."""
        return self.maker in {Maker.WRITTEN, Maker.EDITED}


def is_known_right(sample: InstructSample, answer: str, refusal: str) -> bool:
    """Whether an answer is right by the facts that a person wrote down.

    It must refuse exactly where there is nothing to say. Of a sample without facts nobody can tell:
    then it is False.

    Args:
        sample: with its kind and facts.
        answer: what a model wrote.
        refusal: the recipe's ``retrieval.dont_know``.
    """
    if sample.kind in {WITHHELD, QuestionKind.UNANSWERABLE}:
        return refuses(answer, refusal)
    has_facts = bool(sample.facts) and not missing_facts(answer, sample.facts)
    return has_facts and not refuses(answer, refusal)


class PreferencePair(BaseModel):
    """The sample's answer (chosen) against a model's own text (rejected) for one instruction.

    ``likeness`` says how hard the two are to tell apart: 0 means no word in common, 1 the same
    words in the same order. A pair of callers' feedback has no ``sample_id`` but the ``answer_id``
    of the answer that is rejected.
    """

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
    sample_id: str = ""
    likeness: float | None = None
    answer_id: str = ""


def draw_key(sample_id: str, seed: int) -> str:
    """A sort key that shuffles samples the same way every time."""
    return hashlib.sha256(f"{seed}\n{sample_id}".encode()).hexdigest()
