"""The writer of the index on a Qdrant server."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from twin.domain.chunk import Chunk
from twin.stores.index import DENSE, DocumentState, IndexedDocument, IndexSpec, IndexState
from twin.stores.index_release import check, check_release, last_of_each
from twin.stores.qdrant.collections import QdrantCollections
from twin.stores.qdrant.points import (
    WHOLE,
    chunks_in,
    is_record,
    points_of,
    record_id,
    vectors_in,
)

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

BATCH = 256


class QdrantWriter:
    """Changes a collection document by document."""

    def __init__(
        self, collections: QdrantCollections, name: str, spec: IndexSpec, dimension: int
    ) -> None:
        self._collections = collections
        self._client = collections.client
        self._name = name
        self._spec = spec
        self._dimension = dimension
        state = collections.state_of(name)
        self._documents, self._min_score = dict(state.documents), state.min_score

    @property
    def state(self) -> IndexState:
        """What the index would hold if it were published now."""
        return IndexState(spec=self._spec, documents=self._documents, min_score=self._min_score)

    @property
    def work(self) -> "_Work":
        """What was made so far."""
        return _Work(self._client, self._name)

    def note_min_score(self, score: float | None) -> None:
        """See `IndexWriter.note_min_score`; of a collection that is searched it holds at once."""
        from qdrant_client import models

        payload = {"record": "whole", "min_score": score}
        self._put([models.PointStruct(id=WHOLE, vector={}, payload=payload)])
        self._min_score = score

    def upsert(self, documents: Sequence[IndexedDocument]) -> None:
        """Put documents in, each in place of all its former chunks."""
        documents = last_of_each(documents)
        for document in documents:
            check(document, self._spec, self._dimension)
        unfinished = {document.id: DocumentState(revision="", chunks=0) for document in documents}
        self._record(unfinished)
        self._put([point for document in documents for point in points_of(document)])
        kept = [chunk.id for document in documents for chunk in document.chunks]
        self._remove_chunks(list(unfinished), kept)
        self._record({document.id: document.state for document in documents})

    def delete(self, document_ids: Sequence[str]) -> None:
        """Take documents out; unknown ids are passed over."""
        from qdrant_client import models

        known = [id_ for id_ in document_ids if id_ in self._documents]
        for start in range(0, len(known), BATCH):
            batch = known[start : start + BATCH]
            self._remove_chunks(batch, [])
            records: list[models.ExtendedPointId] = [record_id(id_) for id_ in batch]
            self._client.delete(self._name, models.PointIdsList(points=records), wait=True)
            for id_ in batch:
                del self._documents[id_]

    def checkpoint(self) -> None:
        """Nothing to do: every finished document is durable."""

    def publish(self) -> str:
        """Move the alias here, and remove all but the collection before.

        That of the embedder before is kept as well, under an alias of its own.
        """
        check_release(self.state, self.work, self._name)
        former = self._collections.current()
        if former == self._name:
            return self._name
        aliases = self._collections.aliases()
        moves = self._moved(self._collections.alias, self._name, aliases)
        if former and self._collections.spec_of(former)[0].embedder != self._spec.embedder:
            moves += self._moved(self._collections.alias_before, former, aliases)
        self._client.update_collection_aliases(moves)
        before = self._collections.aliases().get(self._collections.alias_before)
        for old in set(self._collections.collections()) - {self._name, former, before}:
            self._client.delete_collection(old)
        return self._name

    def _moved(
        self, alias: str, name: str, aliases: Mapping[str, str]
    ) -> "list[models.AliasOperations]":
        """What points an alias to a collection, from another one if it names one."""
        from qdrant_client import models

        remove = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
        create = models.CreateAliasOperation(
            create_alias=models.CreateAlias(collection_name=name, alias_name=alias)
        )
        return [remove, create] if alias in aliases else [create]

    def _record(self, states: dict[str, DocumentState]) -> None:
        from qdrant_client import models

        points = [
            models.PointStruct(
                id=record_id(id_),
                vector={},
                payload={"record": "document", "document_id": id_, **state.model_dump()},
            )
            for id_, state in states.items()
        ]
        self._put(points)
        self._documents.update(states)

    def _put(self, points: "list[models.PointStruct]") -> None:
        for start in range(0, len(points), BATCH):
            self._client.upsert(self._name, points[start : start + BATCH], wait=True)

    def _remove_chunks(self, document_ids: Sequence[str], kept: Sequence[str]) -> None:
        """Remove the chunks of documents, whatever revision they are of, except ``kept``."""
        from qdrant_client import models

        condition = is_record("chunk")
        condition.must = [
            *condition.must,  # type: ignore[misc] # set as a list by _is
            models.FieldCondition(key="document_id", match=models.MatchAny(any=list(document_ids))),
        ]
        if kept:
            condition.must_not = [models.HasIdCondition(has_id=list(kept))]
        self._client.delete(self._name, models.FilterSelector(filter=condition), wait=True)


class _Work:
    """What a writer has made and perhaps not published (see `twin.stores.index.Unpublished`)."""

    def __init__(self, client: "QdrantClient", name: str) -> None:
        self._client = client
        self._name = name

    def count(self) -> int:
        return self._client.count(self._name, count_filter=is_record("chunk"), exact=True).count

    def vectors(self, ids: Sequence[str]) -> dict[str, Sequence[float]]:
        return vectors_in(self._client, self._name, ids)

    def get(self, ids: Sequence[str]) -> dict[str, Chunk]:
        return chunks_in(self._client, self._name, ids)

    def nearest(self, vector: Sequence[float], k: int) -> list[tuple[str, float]]:
        points = self._client.query_points(
            self._name, query=list(vector), using=DENSE, limit=k
        ).points
        return [(str(point.id), point.score) for point in points]
