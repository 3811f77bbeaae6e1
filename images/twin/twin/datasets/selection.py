"""Which samples are published: so many that pass the gates, few of which show their answer."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from twin.datasets.copies import from_memory, over_copy_share, shows_answer
from twin.datasets.gates import Gate, Rejected, pass_gates
from twin.datasets.reviews import Reviews
from twin.domain.sample import InstructSample, Maker, Split, draw_key
from twin.recipes import DatasetsSection
from twin.stores.spool import Spool, spool_of

_GATED_AT_ONCE = 1_000
"""Samples that gates look at together: enough for a model's batches, few enough to hold."""


@dataclass
class Tally:
    """Samples counted: by split, those that show their answer, and by kind those of two makers."""

    splits: Counter[Split] = field(default_factory=Counter)
    copies: Counter[Split] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    taught: Counter[str] = field(default_factory=Counter)

    def add(self, sample: InstructSample) -> None:
        """Count a sample."""
        self.splits[sample.split] += 1
        self.copies[sample.split] += shows_answer(sample)
        if sample.maker is Maker.WRITTEN:
            self.written[sample.kind] += 1
        elif sample.maker is Maker.TEACHER:
            self.taught[sample.kind] += 1

    def copy_share(self, split: Split) -> float:
        """Share of a split's samples that show their answer; 0 of none."""
        return self.copies[split] / self.splits[split] if self.splits[split] else 0.0


def at_most(
    samples: Spool[InstructSample],
    ids: Sequence[str],
    most: int,
    seed: int,
    first: Collection[str],
    gates: Sequence[Gate],
    rejected: Spool[Rejected],
) -> list[int]:
    """Places of at most so many that pass the gates, drawn by id but for those that go ``first``.

    Whom people want passes. Others are looked at until there are enough, so that what a gate costs
    grows with the samples that are wanted, and not with those that there are.
    """
    order = sorted(
        range(len(ids)), key=lambda place: (ids[place] not in first, draw_key(ids[place], seed))
    )
    kept: list[int] = []
    begin = 0
    while begin < len(order) and len(kept) < most:
        batch = order[begin : begin + min(most - len(kept), _GATED_AT_ONCE)]
        begin += len(batch)
        held = {ids[place]: samples[place] for place in batch if ids[place] not in first}
        passed = pass_gates(list(held.values()), gates)
        good = {each.id for each in passed.kept}
        kept += [place for place in batch if ids[place] in first or ids[place] in good]
        for each in passed.rejected:
            rejected.append(each)
    return sorted(kept)


def fair(
    samples: Spool[InstructSample],
    chosen: Sequence[int],
    asked: Sequence[InstructSample],
    knobs: DatasetsSection,
    reviews: Reviews,
) -> tuple[Spool[InstructSample], Tally]:
    """The samples to publish, as many of them asked from memory as the recipe wants, counted."""

    def every() -> Iterator[InstructSample]:
        return chain((samples[place] for place in chosen), asked)

    over = over_copy_share(every(), knobs.copy_share, knobs.seed, reviews.kept)
    final, tally = spool_of(InstructSample), Tally()
    for sample in every():
        shown = from_memory(sample) if sample.id in over else sample
        for reviewed in reviews.apply([shown]):  # once more: from memory it is another than before
            final.append(reviewed)
            tally.add(reviewed)
    return final, tally
