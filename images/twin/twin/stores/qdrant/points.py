"""Chunks as points of a Qdrant server, and questions to them."""

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twin.domain.chunk import Chunk
from twin.domain.document import NAMESPACE
from twin.stores.index import DENSE, RRF_K, SPARSE, ChunkFilter, IndexedDocument
from twin.stores.index_release import candidates, payload_of
from twin.stores.index_terms import sparse_passage, sparse_question

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

#: Id of the point that holds what was found out about a collection as a whole.
WHOLE = str(uuid.uuid5(NAMESPACE, "index record"))


def query_of(
    dense: Sequence[float] | None, text: str | None, k: int, condition: "models.Filter | None"
) -> dict[str, Any] | None:
    """Arguments of `query_points`: one arm, or two with fusion by rank; None without an arm."""
    from qdrant_client import models

    arms: list[dict[str, Any]] = []
    if dense is not None:
        arms.append({"query": list(dense), "using": DENSE})
    if text is not None and (terms := sparse_question(text)).indices:
        sparse = models.SparseVector(indices=list(terms.indices), values=list(terms.values))
        arms.append({"query": sparse, "using": SPARSE})
    if len(arms) < 2:
        return {**arms[0], "query_filter": condition} if arms else None
    limit = candidates(k)
    return {
        "query": models.RrfQuery(rrf=models.Rrf(k=RRF_K)),
        "prefetch": [models.Prefetch(limit=limit, filter=condition, **arm) for arm in arms],
    }


def condition_of(filter: ChunkFilter | None) -> "models.Filter | None":
    """What a filter says, in the server's words; None where it says nothing."""
    from qdrant_client import models

    if filter is None:
        return None

    def each(fields: Mapping[str, Sequence[str]]) -> list[models.Condition]:
        return [
            models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))
            for key, values in fields.items()
        ]

    conditions, excluded = each(filter.equal), each(filter.without)
    if filter.published_from or filter.published_before:
        dates = models.DatetimeRange(gte=filter.published_from, lt=filter.published_before)
        conditions.append(models.FieldCondition(key="published", range=dates))
    if not (conditions or excluded):
        return None
    return models.Filter(must=conditions, must_not=excluded)


def is_record(record: str) -> "models.Filter":
    """The points of one kind of record."""
    from qdrant_client import models

    return models.Filter(
        must=[models.FieldCondition(key="record", match=models.MatchValue(value=record))]
    )


def points_of(document: IndexedDocument) -> "list[models.PointStruct]":
    """A document's chunks with their vectors."""
    from qdrant_client import models

    points = []
    for chunk, vector in zip(document.chunks, document.vectors, strict=True):
        terms = sparse_passage(chunk)
        sparse = models.SparseVector(indices=list(terms.indices), values=list(terms.values))
        points.append(
            models.PointStruct(
                id=chunk.id,
                vector={DENSE: list(vector), SPARSE: sparse},
                payload={"record": "chunk", **payload_of(chunk)},
            )
        )
    return points


def record_id(document_id: str) -> str:
    """Id of the point that holds a document's state."""
    return str(uuid.uuid5(NAMESPACE, f"document record\n{document_id}"))


def chunks_in(client: "QdrantClient", collection: str, ids: Sequence[str]) -> dict[str, Chunk]:
    """The chunks of these ids; those that are not there are left out."""
    records = client.retrieve(collection, list(ids), with_payload=True) if ids else []
    return {str(record.id): Chunk.model_validate(record.payload) for record in records}


def vectors_in(
    client: "QdrantClient", collection: str, ids: Sequence[str]
) -> dict[str, Sequence[float]]:
    """Dense vectors of the chunks of these ids; those that are not there are left out."""
    if not ids:
        return {}
    records = client.retrieve(collection, list(ids), with_payload=False, with_vectors=[DENSE])
    return {str(record.id): dense_vector(record.vector) for record in records}


def dense_vector(vector: Any) -> Sequence[float]:
    """The dense one of a point's vectors."""
    return tuple(vector[DENSE])
