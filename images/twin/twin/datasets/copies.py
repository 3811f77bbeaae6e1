"""The copy budget: how many samples may show their answer verbatim in their own prompt."""

import uuid
from collections.abc import Collection, Sequence

from twin.domain.document import NAMESPACE
from twin.domain.sample import InstructSample, Split, draw_key
from twin.domain.written import plain


def shows_answer(sample: InstructSample) -> bool:
    """Whether the answer stands in one of the passages shown, whatever the blanks in it."""
    answer = plain(sample.answer)
    return any(answer in plain(passage) for passage in sample.context)


def copy_share(samples: Sequence[InstructSample]) -> float:
    """Share of the samples that show their answer; 0 of none."""
    return sum(map(shows_answer, samples)) / len(samples) if samples else 0.0


def within_copy_share(
    samples: Sequence[InstructSample], share: float, seed: int, fixed: Collection[str] = ()
) -> list[InstructSample]:
    """The samples, so many of them asked from memory that each split keeps to ``share``.

    Which, is drawn. What a person wrote, or wants as it is (``fixed``, by id), stays and counts: a
    command is answered by itself.
    """
    over: set[str] = set()
    for split in Split:
        of_split = [sample for sample in samples if sample.split is split]
        copies = [sample for sample in of_split if shows_answer(sample)]
        made = [s for s in copies if s.is_verbatim and s.id not in fixed]
        allowed = max(0, int(share * len(of_split)) - (len(copies) - len(made)))
        made.sort(key=lambda sample: draw_key(sample.id, seed))
        over.update(sample.id for sample in made[allowed:])
    return [_from_memory(sample) if sample.id in over else sample for sample in samples]


def sample_id(chunk_id: str, instruction: str, *, grounded: bool) -> str:
    """Id of a sample that asks for a passage."""
    kind = "grounded" if grounded else "memory"
    return str(uuid.uuid5(NAMESPACE, f"{chunk_id}\n{kind}\n{instruction}"))


def _from_memory(sample: InstructSample) -> InstructSample:
    new_id = sample_id(sample.chunk_id, sample.instruction, grounded=False)
    return sample.model_copy(update={"id": new_id, "context": ()})
