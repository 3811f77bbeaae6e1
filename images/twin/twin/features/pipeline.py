"""From documents to vectors, window by window: in this process, or spread by Ray Data.

Both ways run the same two steps, so that an index is the same however it was made.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar, cast

from twin.domain.chunk import Chunk
from twin.domain.document import Document
from twin.domain.errors import TwinError
from twin.features.chunker import Chunker
from twin.features.held_vectors import Held, nothing_held
from twin.features.plan import Wanted
from twin.models.embedder import Embedder
from twin.stores.index import IndexedDocument

WINDOW_CHUNKS = 128
"""Chunks embedded together: enough to batch texts of like length; few, since the first window is
cut while nothing is embedded yet, and the last written when all is."""

T = TypeVar("T")


@dataclass(frozen=True)
class Prepared:
    """A document in chunks, or why it can't be cut."""

    document: Document
    """Without its text."""
    wanted: Wanted
    chunks: Sequence[Chunk] = ()
    refused: int = 0
    error: str = ""
    personal_data: Mapping[str, int] = field(default_factory=dict)
    unknown: int = 0
    """Tokens of its chunks that the embedder has no meaning for."""


@dataclass(frozen=True)
class Embedded:
    """Documents ready for the index, and those that can't be indexed."""

    documents: list[IndexedDocument]
    failed: list[Prepared]
    refused: int
    texts: int
    """Of the chunks, those that the model saw: the others' vectors were there."""
    tokens: int
    """Of these texts."""
    unknown: int = 0
    """Tokens of all the chunks that the embedder has no meaning for."""
    counted: int = 0
    """Tokens of all the chunks."""


def prepare(chunker: Chunker, document: Document, wanted: Wanted) -> Prepared:
    """Step one: cut a document."""
    bare = document.model_copy(update={"content": ""})
    if wanted.duplicate_of:
        return Prepared(bare, wanted)
    try:
        cut = chunker.cut(document, wanted.left_out, wanted.variant)
    except TwinError as error:
        return Prepared(bare, wanted, error=str(error))
    return Prepared(
        bare,
        wanted,
        cut.chunks,
        len(cut.refused),
        personal_data=cut.personal_data,
        unknown=cut.unknown,
    )


def embed(embedder: Embedder, window: Iterable[Prepared], held: Held = nothing_held) -> Embedded:
    """Step two: embed the chunks of several documents together, those that are not held yet."""
    window = list(window)
    vectors = dict(held([item.document.id for item in window if item.chunks]))
    tokens = {
        chunk.embedded_text: chunk.token_count
        for item in window
        for chunk in item.chunks
        if chunk.embedded_text not in vectors
    }
    if tokens:  # load no model for nothing
        vectors |= zip(tokens, embedder.encode(list(tokens)), strict=True)
    return Embedded(
        documents=[
            IndexedDocument(
                item.document.id,
                item.document.revision,
                item.chunks,
                [vectors[chunk.embedded_text] for chunk in item.chunks],
                variant=item.wanted.variant,
                metadata=item.wanted.head.metadata,
                duplicate_of=item.wanted.duplicate_of,
                personal_data=item.personal_data,
            )
            for item in window
            if not item.error
        ],
        failed=[item for item in window if item.error],
        refused=sum(item.refused for item in window),
        texts=len(tokens),
        tokens=sum(tokens.values()),
        unknown=sum(item.unknown for item in window),
        counted=sum(chunk.token_count for item in window for chunk in item.chunks),
    )


def embed_here(
    chunker: Chunker,
    embedder: Embedder,
    documents: Iterable[Document],
    wanted: Mapping[str, Wanted],
    held: Held,
) -> Iterator[Embedded]:
    """Both steps in this process, each a window ahead of who takes its results.

    So one processor cuts and writes while the embedder's threads wait for each other, and three
    windows are in memory at a time.
    """
    windows = ahead(_windows(chunker, documents, wanted))
    yield from ahead(embed(embedder, window, held) for window in windows)


def _windows(
    chunker: Chunker, documents: Iterable[Document], wanted: Mapping[str, Wanted]
) -> Iterator[list[Prepared]]:
    window: list[Prepared] = []
    chunks = 0
    for document in current(documents, wanted):
        window.append(prepare(chunker, document, wanted[document.id]))
        chunks += len(window[-1].chunks)
        if chunks >= WINDOW_CHUNKS:
            yield window
            window, chunks = [], 0
    if window:
        yield window


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The items, the next of which a thread is making already while one is used."""
    end = object()
    with ThreadPoolExecutor(1) as worker:
        following = worker.submit(next, items, end)
        while (item := following.result()) is not end:
            following = worker.submit(next, items, end)
            yield cast(T, item)


def current(documents: Iterable[Document], wanted: Mapping[str, Wanted]) -> Iterator[Document]:
    """Documents as they were when it was decided over them; others are left to the next build."""
    return (item for item in documents if item.revision == wanted[item.id].head.revision)
