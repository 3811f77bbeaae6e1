"""Passages that say the same twice: kept once, and never on both sides of the split."""

from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from twin.datasets.prepared import Documents, Prepared
from twin.domain.sample import Split
from twin.text.shingles import alike_places, is_copy_of_sorted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Who keeps a passage that occurs in several documents: what is measured on, first.
_KEEPERS = (Split.TEST, Split.VALIDATION, Split.TRAIN)

_ROWS_AT_ONCE = 4_096


def without_duplicates(
    prepared: Prepared, documents: Documents, splits: Sequence[Split | None]
) -> "array[int]":
    """The rows to use, in their order, of those that hold an answer.

    Args:
        prepared: the rows.
        documents: their documents.
        splits: of each document, by its place among them.
    """
    import numpy as np

    words = array("q", (row.words for row in prepared.rows))
    seen: set[int] = set()
    held_out = np.empty(0, dtype=np.int64)
    kept: list[int] = []
    for split in _KEEPERS:
        own: list[NDArray[np.int64]] = []
        for place in documents.usable:
            if splits[documents.of_row[place]] is not split or words[place] in seen:
                continue
            runs = prepared.shingles[place]
            if is_copy_of_sorted(runs, held_out):
                continue
            seen.add(words[place])
            kept.append(place)
            # Compared with earlier splits only: an author may well repeat themselves in one.
            if split is not Split.TRAIN:
                own.append(runs)
        held_out = np.unique(np.concatenate([held_out, *own]))
    return array("i", sorted(kept))


def alike_documents(prepared: Prepared, documents: Documents) -> list[tuple[str, str]]:
    """Pairs of documents of which the shorter one is mostly copied in the other (`alike`)."""
    pairs = alike_places(lambda: _holdings(prepared, documents), len(documents.ids))
    return sorted((documents.ids[one], documents.ids[other]) for one, other in pairs)


def _holdings(
    prepared: Prepared, documents: Documents
) -> Iterator[tuple["NDArray[np.int64]", "NDArray[np.int32]"]]:
    import numpy as np

    of_row = np.frombuffer(documents.of_row, dtype=np.int32)
    count = len(prepared.shingles)
    for start in range(0, count, _ROWS_AT_ONCE):
        held = prepared.shingles[start : start + _ROWS_AT_ONCE]
        owners = of_row[start : start + _ROWS_AT_ONCE]
        yield np.concatenate(held), np.repeat(owners, [len(runs) for runs in held])
