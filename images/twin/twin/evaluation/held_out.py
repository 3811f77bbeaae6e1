"""The samples that are measured on: of documents that training has never seen."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from twin.domain.errors import BadDataError
from twin.domain.groups import grouped
from twin.domain.sample import InstructSample, Split, draw_key
from twin.models.language_model import Message
from twin.rag.prompt import BUILT_IN, build_messages
from twin.recipes.prompt import PromptSection
from twin.text.shingles import alike


@dataclass(frozen=True)
class HeldOut:
    """Test samples, each with the prompt after which the author's passage is scored.

    ``groups`` names each sample's group of documents, by the first of them.
    """

    samples: tuple[InstructSample, ...]
    conversations: tuple[list[Message], ...]
    groups: tuple[str, ...]

    @property
    def passages(self) -> list[str]:
        """What the author wrote, sample by sample."""
        return [sample.answer for sample in self.samples]

    @property
    def prompts(self) -> list[str]:
        """All that is shown with each question, as one text."""
        return ["\n".join(turn["content"] for turn in shown) for shown in self.conversations]


def document_groups(samples: Sequence[InstructSample]) -> dict[str, str]:
    """Each document's group, named by its first member.

    Documents that mostly say the same (`alike`, as when the data set was split) are one group:
    what a model knows of the one it knows of the other.
    """
    texts: dict[str, list[str]] = defaultdict(list)
    for sample in samples:
        texts[sample.document_id].append(sample.answer)
    return {id_: group[0] for group in grouped(texts, alike(texts)) for id_ in group}


def hold_out(
    samples: Sequence[InstructSample],
    groups: Mapping[str, str],
    author_name: str,
    *,
    max_samples: int,
    seed: int,
    split: Split = Split.TEST,
    prompt: PromptSection = BUILT_IN,
) -> HeldOut:
    """Choose at most ``max_samples`` samples, as evenly over the groups as can be.

    The choice depends on the samples' ids and the seed only, so that it is the same each time.

    Args:
        samples: of the split.
        groups: each document's group.
        author_name: who answers.
        max_samples: how many at most.
        seed: of the draw.
        split: that all samples must be of.
        prompt: the words around question and passages.

    Raises:
        BadDataError: there is nothing to measure on, or a sample is of another split.
    """
    if not samples:
        raise BadDataError(
            "the data set has no test samples: crawl more documents or raise datasets.test_share, "
            "then run twin datasets make"
        )
    if strays := [sample.id for sample in samples if sample.split is not split]:
        raise BadDataError(
            f"sample {strays[0]} in the {split.value} file is not of the {split.value} split"
        )
    chosen = tuple(_spread(samples, groups, seed)[:max_samples])
    conversations = tuple(
        build_messages(author_name, sample.instruction, sample.context, sample.history, prompt)
        for sample in chosen
    )
    return HeldOut(chosen, conversations, tuple(groups[sample.document_id] for sample in chosen))


def _spread(
    samples: Sequence[InstructSample], groups: Mapping[str, str], seed: int
) -> list[InstructSample]:
    """One of each group, then a second of each, and so on."""
    by_group: dict[str, list[InstructSample]] = defaultdict(list)
    for sample in sorted(samples, key=lambda sample: draw_key(sample.id, seed)):
        by_group[groups[sample.document_id]].append(sample)
    columns = [by_group[group] for group in sorted(by_group)]
    rows = chain.from_iterable(zip_longest(*columns))
    return [sample for sample in rows if sample is not None]
