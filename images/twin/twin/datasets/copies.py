"""The copy budget: how many samples may show their answer verbatim in their own prompt."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable

from twin.domain.document import NAMESPACE
from twin.domain.sample import InstructSample, Split, draw_key
from twin.domain.written import plain


def shows_answer(sample: InstructSample) -> bool:
    """Whether the answer stands in one of the passages shown, whatever the blanks in it."""
    answer = plain(sample.answer)
    return any(answer in plain(passage) for passage in sample.context)


def over_copy_share(
    samples: Iterable[InstructSample], share: float, seed: int, fixed: Collection[str] = ()
) -> set[str]:
    """Ids of the samples to ask from memory so that each split keeps to ``share``.

    Which, is drawn. What a person wrote, or wants as it is (``fixed``, by id), stays and counts: a
    command is answered by itself.
    """
    counts: Counter[Split] = Counter()
    copies: Counter[Split] = Counter()
    made: dict[Split, list[str]] = defaultdict(list)
    for sample in samples:
        counts[sample.split] += 1
        if shows_answer(sample):
            copies[sample.split] += 1
            if sample.is_verbatim and sample.id not in fixed:
                made[sample.split].append(sample.id)
    over: set[str] = set()
    for split, ids in made.items():
        allowed = max(0, int(share * counts[split]) - (copies[split] - len(ids)))
        over.update(sorted(ids, key=lambda id_: draw_key(id_, seed))[allowed:])
    return over


def from_memory(sample: InstructSample) -> InstructSample:
    """The sample without the passages that it shows; by its id it is another."""
    new_id = sample_id(sample.chunk_id, sample.instruction, grounded=False)
    return sample.model_copy(update={"id": new_id, "context": ()})


def sample_id(chunk_id: str, instruction: str, *, grounded: bool) -> str:
    """Id of a sample that asks for a passage."""
    kind = "grounded" if grounded else "memory"
    return str(uuid.uuid5(NAMESPACE, f"{chunk_id}\n{kind}\n{instruction}"))
