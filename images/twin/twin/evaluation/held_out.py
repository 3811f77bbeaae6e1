"""The samples that are measured on: of documents that training has never seen."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample, Split, draw_key
from twin.models.language_model import Message
from twin.rag.prompt import build_messages


@dataclass(frozen=True)
class HeldOut:
    """Test samples with the prompts that the models are shown, as serving would show them."""

    samples: tuple[InstructSample, ...]
    conversations: tuple[list[Message], ...]

    @property
    def passages(self) -> list[str]:
        """What the author wrote, sample by sample."""
        return [sample.answer for sample in self.samples]


def hold_out(
    samples: Sequence[InstructSample], author_name: str, *, max_samples: int, seed: int
) -> HeldOut:
    """Choose at most ``max_samples`` test samples, as evenly over the documents as can be.

    The choice depends on the samples' ids and the seed only, so that it is the same each time.

    Raises:
        BadDataError: there is nothing to measure on, or a sample is of another split.
    """
    if not samples:
        raise BadDataError(
            "the data set has no test samples: crawl more documents or raise datasets.test_share, "
            "then run twin datasets make"
        )
    if strays := [sample.id for sample in samples if sample.split is not Split.TEST]:
        raise BadDataError(f"sample {strays[0]} in the test file is not of the test split")
    chosen = tuple(_spread(samples, seed)[:max_samples])
    conversations = tuple(
        build_messages(author_name, sample.instruction, sample.context, sample.history)
        for sample in chosen
    )
    return HeldOut(chosen, conversations)


def _spread(samples: Sequence[InstructSample], seed: int) -> list[InstructSample]:
    """One of each document, then a second of each, and so on."""
    by_document: dict[str, list[InstructSample]] = defaultdict(list)
    for sample in sorted(samples, key=lambda sample: draw_key(sample.id, seed)):
        by_document[sample.document_id].append(sample)
    columns = [by_document[document] for document in sorted(by_document)]
    rows = chain.from_iterable(zip_longest(*columns))
    return [sample for sample in rows if sample is not None]
