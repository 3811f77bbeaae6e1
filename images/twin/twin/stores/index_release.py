"""What both stores of the index share: ids of chunks, checks before publishing, order of hits."""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any

from twin.domain.chunk import Chunk, chunk_id
from twin.domain.errors import BadDataError, TryAgainError
from twin.stores.index import (
    DocumentState,
    Hit,
    IndexedDocument,
    IndexSpec,
    IndexState,
    Unpublished,
)

SAMPLED = 20
"""Chunks that a new release must find by their own vectors before it is published."""

NEAREST = 5
"""Neighbours among which such a chunk must be."""

SAME = 0.999
"""Cosine from which two vectors count as the same text's."""

CANDIDATES = 50
"""The least number of candidates that each arm brings to the fusion."""


def check(document: IndexedDocument, spec: IndexSpec, dimension: int) -> None:
    """Refuse a document whose chunks could not be found again by their ids.

    Raises:
        BadDataError: vectors of another number or dimension than the index holds.
        ValueError: the chunks are not those of this document, revision and chunker, in order.
    """
    lengths = {len(vector) for vector in document.vectors}
    if len(document.vectors) != len(document.chunks) or lengths - {dimension}:
        raise BadDataError(
            f"document {document.id}: {len(document.chunks)} chunks came with "
            f"{len(document.vectors)} vectors of length {sorted(lengths)}; the index holds vectors "
            f"of length {dimension}, one for each chunk"
        )
    if [chunk.id for chunk in document.chunks] != chunk_ids(document.id, document.state, spec):
        raise ValueError(f"document {document.id}: chunk ids are not those of its revision")


def last_of_each(documents: Sequence[IndexedDocument]) -> list[IndexedDocument]:
    """Of documents with the same id only the last."""
    return list({document.id: document for document in documents}.values())


def chunk_ids(document_id: str, state: DocumentState, spec: IndexSpec) -> list[str]:
    """Ids of a document's chunks, in order."""
    chunker = chunker_of(spec.chunker, state.variant)
    return [
        chunk_id(document_id, state.revision, ordinal, chunker) for ordinal in range(state.chunks)
    ]


def chunker_of(chunker: str, variant: str) -> str:
    """The chunker's version as the chunks of a variant carry it."""
    return f"{chunker}+{variant}" if variant else chunker


def check_release(state: IndexState, work: Unpublished, name: str) -> None:
    """Count the chunks of a release, and search for some of them by their own vectors.

    Raises:
        TryAgainError: it is not what it should be, and must not be published.
    """
    count = work.count()
    if count != state.chunks:
        raise _not_published(name, f"it holds {count} chunks instead of {state.chunks}")
    wanted = state.chunks
    places = {wanted * n // SAMPLED for n in range(SAMPLED)} if wanted else set()
    ids = (id_ for batch in batches_of_ids(state, 1_000) for id_ in batch)
    sample = [id_ for place, id_ in enumerate(ids) if place in places]
    vectors = work.vectors(sample)
    for id_ in sample:
        if id_ not in vectors:
            raise _not_published(name, f"chunk {id_} is missing")
        found = work.nearest(vectors[id_], NEAREST)
        # Of many chunks with the same words, others may come first, but none is farther.
        if id_ not in {other for other, _ in found} and (not found or found[-1][1] < SAME):
            raise _not_published(name, f"chunk {id_} is not found by its own vector")


def _not_published(name: str, reason: str) -> TryAgainError:
    return TryAgainError(
        f"the new index {name} is not as it should be ({reason}) and was not published: "
        "run `twin features build --rebuild`"
    )


def batches_of_ids(
    state: IndexState, size: int, document_ids: Collection[str] | None = None
) -> Iterator[tuple[str, ...]]:
    """Ids of chunks in order of document id and ordinal, ``size`` at a time.

    Args:
        state: of the index.
        size: of a batch; the last may have fewer.
        document_ids: of which documents; None: of all.
    """
    ids = (
        id_
        for document_id, document in sorted(state.documents.items())
        if document_ids is None or document_id in document_ids
        for id_ in chunk_ids(document_id, document, state.spec)
    )
    while batch := tuple(islice(ids, size)):
        yield batch


def unfinished(document_id: str) -> TryAgainError:
    """The error of whoever reads a document whole that a writer is replacing."""
    return TryAgainError(
        f"document {document_id} is being replaced in the index, or a killed build left it so: "
        "try again when `twin features build` has ended"
    )


def payload_of(chunk: Chunk) -> dict[str, Any]:
    """A chunk as both stores keep it."""
    return chunk.model_dump(mode="json")


def candidates(k: int) -> int:
    """How many chunks each arm brings to the fusion when ``k`` are asked for."""
    return max(CANDIDATES, 3 * k)


def hits_in_order(hits: list[Hit], k: int) -> list[Hit]:
    """The ``k`` best; equal scores, which fusion by rank gives often, in order of chunk id."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.chunk.id))[:k]


def nothing_published(recipe: str) -> BadDataError:
    """The error of a reader that comes too early."""
    return BadDataError(
        f"recipe {recipe!r} has no index yet: run `twin features build --recipe {recipe}`"
    )
