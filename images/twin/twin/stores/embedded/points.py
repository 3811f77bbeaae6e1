"""Chunks as the points of Qdrant's own engine, and questions to them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from twin.domain.chunk import Chunk
from twin.stores.index import DENSE, FILTER_FIELDS, RRF_K, SPARSE, ChunkFilter, IndexedDocument
from twin.stores.index_release import candidates, payload_of
from twin.stores.index_terms import sparse_passage, sparse_question

if TYPE_CHECKING:
    from qdrant_edge import EdgeShard, Filter, QueryRequest


def request_of(
    dense: Sequence[float] | None,
    text: str | None,
    k: int,
    filter: ChunkFilter | None,
    *,
    vectors: bool,
) -> "QueryRequest | None":
    """The search of `IndexReader.search`; None if there is nothing to search by."""
    from qdrant_edge import Fusion, Prefetch, Query, QueryRequest

    arms = []
    if dense is not None:
        arms.append(Query.Nearest(list(dense), using=DENSE))
    if text is not None and (terms := sparse_question(text)).indices:
        arms.append(Query.Nearest(terms, using=SPARSE))
    condition = _condition(filter)
    # One more than asked for: which of two equal scores is cut must not be left to chance.
    limit = k + 1
    if len(arms) < 2:
        only = arms[0] if arms else None
        return only and QueryRequest(
            limit=limit,
            query=only,
            filter=condition,
            with_payload=True,
            with_vector=[DENSE] if vectors else None,
        )
    each = candidates(k)
    return QueryRequest(
        limit=limit,
        query=Fusion.Rrf(k=RRF_K),  # type: ignore[arg-type] # a subclass, which the stubs don't say
        prefetches=[Prefetch(limit=each, query=arm, filter=condition) for arm in arms],
        with_payload=True,
        with_vector=[DENSE] if vectors else None,
    )


def _condition(filter: ChunkFilter | None) -> "Filter | None":
    from qdrant_edge import FieldCondition, Filter, MatchAny, RangeDateTime

    if filter is None:
        return None

    def each(fields: Mapping[str, Sequence[str]]) -> list[Any]:
        return [
            FieldCondition(key=key, match=MatchAny(list(values))) for key, values in fields.items()
        ]

    conditions, excluded = each(filter.equal), each(filter.without)
    if filter.published_from or filter.published_before:
        dates = RangeDateTime(gte=_iso(filter.published_from), lt=_iso(filter.published_before))
        conditions.append(FieldCondition(key="published", range=dates))
    return Filter(must=conditions, must_not=excluded) if conditions or excluded else None


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def points_of(document: IndexedDocument) -> list[Any]:
    """A document's chunks with their vectors."""
    from qdrant_edge import Point

    return [
        Point(
            id=chunk.id,
            vector={DENSE: list(vector), SPARSE: sparse_passage(chunk)},
            payload=payload_of(chunk),
        )
        for chunk, vector in zip(document.chunks, document.vectors, strict=True)
    ]


def chunks_in(shard: "EdgeShard", ids: Sequence[str]) -> dict[str, Chunk]:
    """The chunks of these ids; those that are not there are left out."""
    records = shard.retrieve(list(ids), True, False) if ids else []
    return {str(record.id): Chunk.model_validate(record.payload) for record in records}


def vectors_in(shard: "EdgeShard", ids: Sequence[str]) -> dict[str, Sequence[float]]:
    """Dense vectors of the chunks of these ids; those that are not there are left out."""
    records = shard.retrieve(list(ids), False, True) if ids else []
    return {str(record.id): dense_vector(record.vector) for record in records}


def dense_vector(vector: Any) -> Sequence[float]:
    """The dense one of a point's vectors."""
    return tuple(vector[DENSE])


def with_payload_indexes(shard: "EdgeShard") -> "EdgeShard":
    """The shard with those that it lacks: it may have been made before a field was filtered by."""
    from qdrant_edge import PayloadSchemaType, UpdateOperation

    fields = dict.fromkeys(FILTER_FIELDS, PayloadSchemaType.Keyword)
    fields["published"] = PayloadSchemaType.Datetime
    for name in sorted(fields.keys() - shard.info().payload_schema.keys()):
        shard.update(UpdateOperation.create_field_index(name, fields[name]))
    return shard
