"""What is made of each chunk by itself: the answer in it, its shingles and its phrases, in files.

This is what can be made in parts, by as many processes as there are parts; of any parts in order
comes the same whole. Texts lie in files, and of each passage a few numbers are held.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

import pydantic

from twin.datasets.keyphrases import phrases
from twin.datasets.passages import Passage, passage_of
from twin.domain.chunk import Chunk
from twin.recipes import DatasetsSection
from twin.stores.spool import Spool
from twin.text.shingles import number_of, shingle_array
from twin.text.words import words as words_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PREPARED = "1"
"""Version of what is made here: raise it when rows change."""

ROWS, SHINGLES, ENDS = "rows.jsonl", "shingles.bin", ".ends"
"""Names of a saved part's files, and what the name of the one with each item's end has more."""


class Row(pydantic.BaseModel):
    """A chunk, redacted, with the answer in it or the reason why there is none."""

    model_config = pydantic.ConfigDict(frozen=True)

    chunk: Chunk
    start: int = pydantic.Field(default=0, description="of the answer in the chunk's text")
    end: int = 0
    reason: str = pydantic.Field(default="", description="why it holds no answer; empty: it does")
    words: int = pydantic.Field(default=0, description="number of the answer's words in order")
    phrases: tuple[str, ...] = pydantic.Field(
        default=(), description="that tell the answer from others, maybe (`keyphrases.phrases`)"
    )

    @property
    def answer(self) -> str:
        """The part of the text that serves as an answer."""
        return self.chunk.text[self.start : self.end]


@dataclass
class Documents:
    """What is held in memory of the documents.

    Attributes:
        ids: in order of their chunks.
        platforms: of each.
        tokens: of all chunks of each.
        of_row: the place among them of each chunk's document.
        usable: the rows that hold an answer, in order.
    """

    ids: list[str]
    platforms: list[str]
    tokens: "array[int]"
    of_row: "array[int]"
    usable: "array[int]"


class Prepared:
    """The rows of chunks that were put in in order of document and ordinal.

    Args:
        knobs: the recipe's section.
        folder: to save the files to; None for files without a name.
    """

    def __init__(self, knobs: DatasetsSection, folder: Path | None = None) -> None:
        self._knobs = knobs
        self._folder = folder
        self.rows: Spool[Row] = Spool(
            lambda row: row.model_dump_json(exclude_defaults=True).encode() + b"\n",
            Row.model_validate_json,
            folder / ROWS if folder else None,
        )
        self.shingles: Spool[NDArray[np.int64]] = Spool(
            lambda runs: runs.tobytes(), _numbers, folder / SHINGLES if folder else None
        )

    def add(self, chunk: Chunk) -> None:
        """Put in the next chunk."""
        found = passage_of(chunk, self._knobs)
        if isinstance(found, str):
            self.rows.append(Row(chunk=chunk, reason=found))
            self.shingles.append(_numbers(b""))
            return
        start = chunk.text.index(found.answer)
        self.rows.append(
            Row(
                chunk=chunk,
                start=start,
                end=start + len(found.answer),
                words=number_of(" ".join(words_of(found.answer.lower()))),
                phrases=tuple(phrases(found.answer)),
            )
        )
        self.shingles.append(shingle_array(found.answer))

    def save(self) -> None:
        """Write to the folder what `extend` reads.

        Raises:
            ValueError: it has no folder.
        """
        if self._folder is None:
            raise ValueError("there is no folder to save to")
        self.rows.save(self._folder / (ROWS + ENDS))
        self.shingles.save(self._folder / (SHINGLES + ENDS))

    def extend(self, folder: Path) -> None:
        """Put in what was saved in a folder.

        Raises:
            ValueError: its files do not belong together.
        """
        self.rows.extend(folder / ROWS, folder / (ROWS + ENDS))
        self.shingles.extend(folder / SHINGLES, folder / (SHINGLES + ENDS))
        if len(self.rows) != len(self.shingles):
            raise ValueError(f"{folder}: {ROWS} and {SHINGLES} are not of the same chunks")

    def documents(self, skipped: Counter[str]) -> Documents:
        """The documents of all rows; counts in ``skipped`` why rows hold no answer."""
        found = Documents([], [], array("q"), array("i"), array("i"))
        for place, row in enumerate(self.rows):
            if not found.ids or found.ids[-1] != row.chunk.document_id:
                found.ids.append(row.chunk.document_id)
                found.platforms.append(row.chunk.platform)
                found.tokens.append(0)
            found.tokens[-1] += row.chunk.token_count
            found.of_row.append(len(found.ids) - 1)
            if row.reason:
                skipped[row.reason] += 1
            else:
                found.usable.append(place)
        return found

    def passage(self, place: int) -> Passage:
        """The passage of a row that holds an answer."""
        row = self.rows[place]
        return Passage(row.chunk, row.answer, place)

    def chunks(self) -> Iterator[Chunk]:
        """All chunks in order."""
        return (row.chunk for row in self.rows)

    def close(self) -> None:
        """Let go of the files."""
        self.rows.close()
        self.shingles.close()


class Passages(Sequence[Passage]):
    """The passages of some rows, read when they are asked for."""

    def __init__(self, prepared: Prepared, places: Sequence[int]) -> None:
        self._prepared = prepared
        self._places = places

    def __len__(self) -> int:
        """How many there are."""
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Passage: ...
    @overload
    def __getitem__(self, place: slice) -> "Passages": ...
    def __getitem__(self, place: int | slice) -> "Passage | Passages":
        """The passage of a place, or those of a slice."""
        if isinstance(place, slice):
            return Passages(self._prepared, self._places[place])
        return self._prepared.passage(self._places[place])


def prepare(chunks: Iterable[Chunk], knobs: DatasetsSection) -> Prepared:
    """The rows of chunks in any order, in files without a name."""
    prepared = Prepared(knobs)
    for chunk in sorted(chunks, key=lambda chunk: (chunk.document_id, chunk.ordinal)):
        prepared.add(chunk)
    return prepared


def _numbers(content: bytes) -> "NDArray[np.int64]":
    import numpy as np

    return np.frombuffer(content, dtype=np.int64)
