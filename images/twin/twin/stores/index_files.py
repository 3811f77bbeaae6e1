"""The index of a recipe as one JSON Lines file: a backup, and the way from one store to another.

Line 1 names the format and what the vectors were made with; each further line is a document with
its chunks and their dense vectors (float32, little-endian, base64); the last line counts them, so
that a file which was cut off is told from a whole one. BM25 vectors are made of the texts again.
"""

import base64
import binascii
import json
import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ValidationError

from twin.domain.chunk import Chunk
from twin.domain.errors import BadDataError
from twin.stores.index import Index, IndexedDocument, IndexReader, IndexSpec, IndexState
from twin.stores.index_release import check
from twin.stores.streamed_files import ByteSource

FORMAT = "llm-twin-index"
VERSION = 1
DOCUMENTS_PER_WRITE = 20

NOTED = ("variant", "metadata", "duplicate_of", "personal_data")
"""What a line has of a document's state only where there is something to say."""


class Head(BaseModel):
    """The first line: what the rest was made with."""

    format: str
    version: int
    spec: IndexSpec
    dimension: int
    min_score: float | None = None


def export_index(reader: IndexReader, path: Path) -> IndexState:
    """Write all that is published to a file, as `write_index`."""
    with path.open("w", encoding="utf-8") as file:
        return write_index(reader, file)


def write_index(reader: IndexReader, file: IO[str]) -> IndexState:
    """Write all that is published to an open file. Equal indexes give equal bytes.

    Returns:
        What the file holds.

    Raises:
        TryAgainError: the index was changed while it was read, or its store is away.
    """
    state = reader.state
    documents = reader.documents()
    first = next((item for item in documents if item.vectors), None)
    dimension = len(first.vectors[0]) if first else 0
    head = Head(
        format=FORMAT,
        version=VERSION,
        spec=state.spec,
        dimension=dimension,
        min_score=state.min_score,
    )
    file.write(head.model_dump_json() + "\n")
    count = sum(_write(file, item) for item in reader.documents())
    file.write(json.dumps({"end": count}) + "\n")
    return state


def import_index(
    index: Index,
    path: ByteSource,
    advance: Callable[[int], None] = lambda _: None,
    only: Collection[str] | None = None,
) -> IndexState:
    """Make the index what a file holds, and publish it at one moment.

    The whole file is checked before anything is written. An index that already holds the same
    documents in the same revisions is left as it is.

    Args:
        index: to be changed.
        path: of the file.
        advance: is told how many documents were written.
        only: ids of the documents to take from the file; None means all.

    Returns:
        What the index holds now.

    Raises:
        BadDataError: with the number of the first bad line; nothing was written.
        TryAgainError: another writer is at work, or the store is away.
    """
    head, documents = read_index(path)
    states = {item.id: item.state for item in documents if only is None or item.id in only}
    state = IndexState(spec=head.spec, documents=states, min_score=head.min_score)
    # Without a single chunk there is nothing to search, and no store takes vectors of length 0.
    if index.state() == state or not state.chunks:
        return state
    with index.write(head.spec, head.dimension, rebuild=True) as writer:
        writer.note_min_score(head.min_score)
        batch: list[IndexedDocument] = []
        for item in read_index(path)[1]:
            if item.id not in states:
                continue
            batch.append(item)
            if len(batch) == DOCUMENTS_PER_WRITE:
                writer.upsert(batch)
                advance(len(batch))
                batch = []
        writer.upsert(batch)
        advance(len(batch))
        writer.publish()
    return state


def read_index(path: ByteSource) -> tuple[Head, Iterator[IndexedDocument]]:
    """What an export was made with, and its documents, each checked as it is read.

    Raises:
        BadDataError: in one line: file, line number, what is wrong.
    """
    lines = _lines(path)
    with_number = next(lines, (1, "{}"))
    head = _head(path, with_number[1])
    return head, _documents(path, head, lines)


def _write(file: IO[str], document: IndexedDocument) -> int:
    line = {
        "id": document.id,
        "revision": document.revision,
        "chunks": [chunk.model_dump(mode="json") for chunk in document.chunks],
        "vectors": [_encode(vector) for vector in document.vectors],
    }
    line |= document.state.model_dump(include=set(NOTED), exclude_defaults=True)
    file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return 1


def _lines(path: ByteSource) -> Iterator[tuple[int, str]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield number, line.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataError(f"{path} cannot be read: {error}") from None


def _head(path: ByteSource, line: str) -> Head:
    try:
        head = Head.model_validate_json(line)
    except ValidationError:
        raise BadDataError(f"{path}, line 1: not an export of an index") from None
    if (head.format, head.version) != (FORMAT, VERSION):
        raise BadDataError(
            f"{path}, line 1: {head.format} version {head.version}; this code reads {FORMAT} "
            f"version {VERSION}"
        )
    return head


def _documents(
    path: ByteSource, head: Head, lines: Iterator[tuple[int, str]]
) -> Iterator[IndexedDocument]:
    number, count, end = 1, 0, None
    try:
        for number, line in lines:  # noqa: B007 - the error names it
            data = json.loads(line)
            if end is not None:
                raise ValueError("comes after the end")
            if "end" in data:
                end = data["end"]
                continue
            yield _document(data, head)
            count += 1
        if end != count:
            raise ValueError("the file is cut off here")
    except (ValueError, KeyError, TypeError, BadDataError) as error:
        reason = " ".join(str(error).split())
        raise BadDataError(f"{path}, line {number}: {reason:.200}; nothing was imported") from None


def _document(data: dict[str, Any], head: Head) -> IndexedDocument:
    document = IndexedDocument(
        data["id"],
        data["revision"],
        [Chunk.model_validate(chunk) for chunk in data["chunks"]],
        [_decode(text) for text in data["vectors"]],
        **{key: data[key] for key in NOTED if key in data},
    )
    check(document, head.spec, head.dimension)
    return document


def _encode(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")


def _decode(text: str) -> tuple[float, ...]:
    try:
        raw = base64.b64decode(text, validate=True)
        return struct.unpack(f"<{len(raw) // 4}f", raw)
    except (binascii.Error, struct.error):
        raise ValueError("a vector is damaged") from None
