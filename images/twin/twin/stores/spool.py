"""A list that lies in a file: what a job has too much of to hold in memory, in the order it came.

Numbers of eight bytes say where each item begins; the items themselves are read when asked for.
"""

import os
import shutil
import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Generic, TypeVar, overload

from pydantic import TypeAdapter

Item = TypeVar("Item")

_AT_ONCE = 256
"""Items read together by whoever goes through all."""


class Spool(Sequence[Item], Generic[Item]):
    """Items in a file, appended one after the other and read by their place.

    Args:
        encode: an item as bytes.
        decode: the item of these bytes.
        path: of the file, which is begun anew; None for one without a name, which is gone with the
            spool, or with the process.
    """

    def __init__(
        self,
        encode: Callable[[Item], bytes],
        decode: Callable[[bytes], Item],
        path: Path | None = None,
    ) -> None:
        self._encode = encode
        self._decode = decode
        self._file: IO[bytes] = (
            path.open("w+b") if path else tempfile.TemporaryFile()  # noqa: SIM115 - closed below
        )
        self._ends = array("q", [0])
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._ends) - 1

    @overload
    def __getitem__(self, place: int) -> Item: ...
    @overload
    def __getitem__(self, place: slice) -> list[Item]: ...
    def __getitem__(self, place: int | slice) -> Item | list[Item]:
        """The item of a place, or those of a slice."""
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        [item] = self._read(place, place + 1)
        return item

    def __iter__(self) -> Iterator[Item]:
        """The items that are there when iteration begins, in order."""
        count = len(self)
        for start in range(0, count, _AT_ONCE):
            yield from self._read(start, min(start + _AT_ONCE, count))

    def __eq__(self, other: object) -> bool:
        """Whether a sequence has the same items in the same order."""
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def append(self, item: Item) -> None:
        """Put an item at the end."""
        self._ends.append(self._ends[-1] + self._file.write(self._encode(item)))

    def extend(self, content: Path, ends: Path) -> None:
        """Put the items of another spool's files at the end, as `save` has left them.

        Raises:
            OSError: a file can't be read.
            ValueError: the two are not of one spool.
        """
        more = array("q", ends.read_bytes())
        if not more or content.stat().st_size != more[-1]:
            raise ValueError(f"{content} does not hold what {ends} says")
        start = self._ends[-1]
        with content.open("rb") as file:
            shutil.copyfileobj(file, self._file)
        self._ends.extend(start + end for end in more[1:])

    def save(self, ends: Path) -> None:
        """Write the last items to the file, and beside it where each of them ends."""
        self._file.flush()
        ends.write_bytes(self._ends.tobytes())

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _read(self, first: int, last: int) -> Iterator[Item]:
        self._file.flush()
        start, ends = self._ends[first], self._ends[first + 1 : last + 1]
        # By place, not by a position of the file: whoever goes through all may read others between.
        held = os.pread(self._file.fileno(), ends[-1] - start, start) if ends else b""
        begin = 0
        for end in ends:
            yield self._decode(held[begin : end - start])
            begin = end - start


def spool_of(kind: type[Item]) -> Spool[Item]:
    """A spool, in a file without a name, of a type that pydantic can write as JSON."""
    form = TypeAdapter(kind)
    return Spool(form.dump_json, form.validate_json)
