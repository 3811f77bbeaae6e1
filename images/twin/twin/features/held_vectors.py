"""Vectors that the published index holds already, so that only what is new is embedded.

A document that changed in one paragraph, or only in its date, has most of its texts as before.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from twin.domain.errors import BadDataError
from twin.stores.index import Index, IndexReader, IndexState
from twin.stores.index_release import chunk_ids

Held = Callable[[Collection[str]], Mapping[str, Sequence[float]]]
"""From ids of documents to the embedded text of each chunk that is held of them, and its vector."""


def nothing_held(_document_ids: Collection[str]) -> Mapping[str, Sequence[float]]:
    """For an index that is made anew."""
    return {}


@contextmanager
def held_vectors(index: Index, state: IndexState | None, embedder_id: str) -> Iterator[Held]:
    """The vectors to start from, for as long as the context lasts.

    Args:
        index: of the recipe.
        state: what is published of it; None if nothing is, or if it is not to be relied on.
        embedder_id: whose vectors; those of another are of no use.
    """
    reader = None
    if state is not None and state.spec.embedder == embedder_id:
        reader = _reader(index)
    if state is None or reader is None:
        yield nothing_held
        return
    try:
        yield partial(_held, reader, state)
    finally:
        reader.close()


def _reader(index: Index) -> IndexReader | None:
    try:
        return index.read()
    except BadDataError:  # damaged: the writer says so, and starts over
        return None


def _held(
    reader: IndexReader, state: IndexState, document_ids: Collection[str]
) -> Mapping[str, Sequence[float]]:
    """What is not there whole is left out, and embedded again."""
    held = state.documents
    ids = [
        id_
        for document_id in held.keys() & set(document_ids)
        for id_ in chunk_ids(document_id, held[document_id], state.spec)
    ]
    vectors = reader.vectors(ids)
    chunks = reader.get(list(vectors))
    return {chunk.embedded_text: vectors[id_] for id_, chunk in chunks.items()}
