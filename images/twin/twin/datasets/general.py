"""A general data set mixed into an exported one, so that training forgets less of everything else.

Its rows keep their own prompts: nobody answers them as the author. Rows of several turns are passed
over, as are empty ones, those with special tokens of a model family, and those that ask what models
are measured by.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from twin.datasets.audit_rows import Row, read_rows
from twin.datasets.audit_texts import holds_special_token
from twin.datasets.held_out import HeldOut
from twin.domain.sample import InstructSample, Split, draw_key


class GeneralSample(InstructSample):
    """A row of a general set: its prompt is shown as it stands."""


@dataclass(frozen=True)
class Mix:
    """Which set is mixed in, and how much of the training rows it becomes (below 1)."""

    path: Path
    share: float


@dataclass
class Mixed:
    """What is mixed in, and how many rows are passed over, by reason."""

    samples: list[GeneralSample] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    wanted: int = 0


def mixed_in(mix: Mix, own: Sequence[InstructSample], measured: Sequence[InstructSample]) -> Mixed:
    """So many rows of the set that they are the mix's share of all, drawn; fewer if it has fewer.

    Args:
        mix: the set and its share.
        own: samples that are trained on.
        measured: samples that models are measured on.

    Raises:
        BadDataError: the set can't be read, or holds no samples.
    """
    held_out = HeldOut((each.instruction for each in measured), (each.answer for each in measured))
    made = Mixed(wanted=round(len(own) * mix.share / (1 - mix.share)))
    rows = sorted(read_rows(mix.path), key=lambda row: draw_key(row.place, 0))
    for row in rows:
        if len(made.samples) == made.wanted:
            break
        if fault := _fault(row, held_out):
            made.passed_over[fault] += 1
        else:
            made.samples.append(_sample(row))
    return made


def _fault(row: Row, held_out: HeldOut) -> str:
    if row.prompt != row.instruction and not row.passages:
        return "of several turns"
    if not row.answer.strip() or not row.prompt.strip():
        return "empty"
    if holds_special_token(f"{row.prompt}\n{row.answer}"):
        return "a special token of a model family"
    return "asks what models are measured by" if held_out.like(row.instruction, row.answer) else ""


def _sample(row: Row) -> GeneralSample:
    return GeneralSample(
        id=f"general:{row.place}",
        split=Split.TRAIN,
        instruction=row.prompt,
        answer=row.answer,
        document_id="",
        revision="",
        chunk_id="",
        title="",
        url=row.source or "",
    )
