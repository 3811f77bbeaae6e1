"""The reader of the index on a Qdrant server."""

import time
from collections.abc import Collection, Iterator, Sequence

import structlog

from twin.domain.chunk import Chunk
from twin.stores.index import DENSE, ChunkFilter, Hit, IndexedDocument, IndexSpec, IndexState
from twin.stores.index_release import (
    batches_of_ids,
    chunk_ids,
    hits_in_order,
    nothing_published,
    unfinished,
)
from twin.stores.qdrant.collections import QdrantCollections
from twin.stores.qdrant.points import (
    chunks_in,
    condition_of,
    dense_vector,
    is_record,
    query_of,
    vectors_in,
)

BATCH = 256
FOLLOW_SECONDS = 5.0
"""How long a reader may search the collection before the published one."""

log = structlog.get_logger("twin.index")


class QdrantReader:
    """Searches the published collection and follows the alias to the next."""

    def __init__(self, collections: QdrantCollections, embedder: str | None = None) -> None:
        self._collections = collections
        aliases = collections.aliases()
        if collections.alias not in aliases:
            raise nothing_published(collections.recipe)
        self._name = aliases[collections.alias]
        self._spec, _ = collections.spec_of(self._name)
        before = aliases.get(collections.alias_before)
        if before and embedder not in (None, self._spec.embedder):
            spec, _ = collections.spec_of(before)
            if spec.embedder == embedder:
                self._name, self._spec = before, spec
        self._min_score = collections.min_score_of(self._name)
        self._looked = time.monotonic()

    @property
    def spec(self) -> IndexSpec:
        """What the vectors searched now were made with."""
        return self._spec

    @property
    def state(self) -> IndexState:
        """What is searched now."""
        with self._collections.plain_errors():
            return self._collections.state_of(self._follow())

    @property
    def min_score(self) -> float | None:
        """See `IndexReader.min_score`; some seconds old."""
        with self._collections.plain_errors():
            self._follow()
        return self._min_score

    def search(
        self,
        dense: Sequence[float] | None,
        text: str | None,
        k: int,
        filter: ChunkFilter | None = None,
        *,
        vectors: bool = False,
    ) -> list[Hit]:
        """The ``k`` best chunks (see `IndexReader.search`)."""
        query = query_of(dense, text, k, condition_of(filter))
        if query is None:
            return []
        with self._collections.plain_errors():
            # One more than asked for: which of two equal scores is cut must not be left to chance.
            points = self._collections.client.query_points(
                self._follow(),
                limit=k + 1,
                with_payload=True,
                with_vectors=[DENSE] if vectors else False,
                **query,
            ).points
        hits = [
            Hit(
                Chunk.model_validate(point.payload),
                point.score,
                dense_vector(point.vector) if vectors else None,
            )
            for point in points
        ]
        return hits_in_order(hits, k)

    def get(self, chunk_ids: Sequence[str]) -> dict[str, Chunk]:
        """The chunks of these ids; those that are not there are left out."""
        if not chunk_ids:
            return {}
        with self._collections.plain_errors():
            return chunks_in(self._collections.client, self._follow(), chunk_ids)

    def vectors(self, chunk_ids: Sequence[str]) -> dict[str, Sequence[float]]:
        """Dense vectors of the chunks of these ids; those that are not there are left out."""
        with self._collections.plain_errors():
            return vectors_in(self._collections.client, self._follow(), chunk_ids)

    def chunks(self, document_ids: Collection[str] | None = None) -> Iterator[Chunk]:
        """All chunks, or those of some documents, in order of document id and ordinal."""
        with self._collections.plain_errors():
            name = self._follow()
            state = self._collections.state_of(name)
            for ids in batches_of_ids(state, BATCH, document_ids):
                records = self._collections.client.retrieve(name, list(ids), with_payload=True)
                found = {str(record.id): record.payload for record in records}
                # A document may be replaced while this goes on: its old chunks are passed over.
                yield from (Chunk.model_validate(found[id_]) for id_ in ids if id_ in found)

    def documents(self) -> Iterator[IndexedDocument]:
        """All documents whole, in order of id."""
        with self._collections.plain_errors():
            name = self._follow()
            state = self._collections.state_of(name)
            for document_id, document in sorted(state.documents.items()):
                ids = chunk_ids(document_id, document, state.spec)
                records = self._collections.client.retrieve(
                    name, list(ids), with_payload=True, with_vectors=[DENSE]
                )
                found = {str(record.id): record for record in records}
                if not document.revision or set(ids) - set(found):
                    raise unfinished(document_id)
                chunks = [Chunk.model_validate(found[id_].payload) for id_ in ids]
                vectors = [dense_vector(found[id_].vector) for id_ in ids]
                yield IndexedDocument.of(document_id, document, chunks, vectors)

    def stored_chunks(self) -> Iterator[Chunk]:
        """Every chunk that the collection holds, whatever the records of documents say."""
        with self._collections.plain_errors():
            name, offset = self._follow(), None
            while True:
                records, offset = self._collections.client.scroll(
                    name,
                    scroll_filter=is_record("chunk"),
                    limit=BATCH,
                    offset=offset,
                    with_payload=True,
                )
                yield from (Chunk.model_validate(record.payload) for record in records)
                if offset is None:
                    return

    def count(self) -> int:
        """Number of chunks."""
        return self.state.chunks

    def fingerprint(self) -> str:
        """Equal exactly when the chunk ids are."""
        return self.state.fingerprint

    def close(self) -> None:
        """Nothing to let go of: the connections are the index's, and others may use them."""

    def _follow(self) -> str:
        """The collection to search; looks for a newer one now and then."""
        if time.monotonic() - self._looked < FOLLOW_SECONDS:
            return self._name
        self._looked = time.monotonic()
        name = self._collections.current()
        if name not in (None, self._name):
            spec, _ = self._collections.spec_of(str(name))
            if spec.embedder == self._spec.embedder:
                self._name, self._spec = str(name), spec
            else:
                log.warning("index made with another embedder: not followed", collection=name)
        self._min_score = self._collections.min_score_of(self._name)
        return self._name
