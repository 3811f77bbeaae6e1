"""The passages that samples may show: those of their own split."""

import random
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from twin.datasets.passages import Passage
from twin.datasets.prepared import Documents, Prepared
from twin.domain.chunk import Chunk
from twin.domain.sample import Split
from twin.rag.prompt import format_passage
from twin.recipes import DatasetsSection


@dataclass(frozen=True)
class Shelf:
    """The passages that samples of one split may show, by their rows in order."""

    prepared: Prepared
    split: Split
    places: "array[int]"

    def others(self, place: int, most: int, draw: random.Random) -> list[Chunk]:
        """The chunks of at most so many rows but this one, drawn."""
        own, others = bisect_left(self.places, place), len(self.places) - 1
        drawn = draw.sample(range(others), min(most, others))
        rows = (self.places[number + (number >= own)] for number in drawn)
        return [self.prepared.rows[row].chunk for row in rows]


@dataclass(frozen=True)
class Shelves:
    """The shelf of each split, and which of them a row stands on."""

    shelves: Mapping[Split, Shelf]
    documents: Documents
    splits: Sequence[Split | None]

    def of(self, place: int) -> Shelf:
        """The shelf of a row."""
        split = self.splits[self.documents.of_row[place]]
        if split is None:
            raise ValueError(f"row {place} holds no answer")
        return self.shelves[split]


def shelves_of(
    prepared: Prepared,
    documents: Documents,
    places: Iterable[int],
    splits: Sequence[Split | None],
) -> Shelves:
    """The shelves of the rows that are used.

    Args:
        prepared: all rows.
        documents: their documents.
        places: of the rows that are used, in order.
        splits: of each document, by its place among them.
    """
    held = {split: array("i") for split in Split}
    for place in places:
        split = splits[documents.of_row[place]]
        if split is not None:
            held[split].append(place)
    shelves = {split: Shelf(prepared, split, rows) for split, rows in held.items()}
    return Shelves(shelves, documents, splits)


def context_of(
    passage: Passage, shelf: Shelf, knobs: DatasetsSection, number: int
) -> tuple[str, ...]:
    """Passages as serving shows them, the right one anywhere among them; empty for from-memory.

    The others come from the same split, so that no test passage is ever read in training.
    """
    chunk = passage.chunk
    # Dealt evenly: a passage's samples take turns between the two kinds, as the share says.
    start = random.Random(f"{knobs.seed}:{chunk.id}").random()  # noqa: S311 - no secret
    if (start + number * knobs.grounded_share) % 1.0 >= knobs.grounded_share:
        return ()
    draw = random.Random(f"{knobs.seed}:{chunk.id}:{number}")  # noqa: S311 - no secret
    shown = shelf.others(passage.place, knobs.context_passages - 1, draw)
    shown.insert(draw.randint(0, len(shown)), chunk)
    return tuple(format_passage(passage) for passage in shown)
