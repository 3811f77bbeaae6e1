"""The index on a Qdrant server.

Collections ``chunks_<recipe>_000007`` and an alias ``chunks_<recipe>`` on the one that is
searched; ``chunks_<recipe>_before`` on the last of the embedder before, if there was one. Ordinary
runs change the searched one in place; another embedder or chunker, or a rebuild, fills a new one
beside it and moves the alias. The one before is kept.

Beside its chunks a collection has one point without vectors for each document: its revision and
number of chunks, written when all of them are there. While a document is being replaced the
revision there is empty, so that what a killed writer left is known and done again. One more such
point holds what was found out about the whole.
"""

import json
import re
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from twin.domain.chunk import Chunk
from twin.domain.document import NAMESPACE
from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError, TwinError
from twin.settings import Settings
from twin.stores import index as contract
from twin.stores.index import (
    DENSE,
    FILTER_FIELDS,
    RRF_K,
    SPARSE,
    ChunkFilter,
    DocumentState,
    Hit,
    IndexedDocument,
    IndexSpec,
    IndexState,
)

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

BATCH = 256
TIMEOUT_SECONDS = 30
FOLLOW_SECONDS = 5.0
"""How long a reader may search the collection before the published one."""

#: Id of the point that holds what was found out about a collection as a whole.
WHOLE = str(uuid.uuid5(NAMESPACE, "index record"))

_COLLECTION = re.compile(r"chunks_(?P<recipe>.+)_\d{6}")

log = structlog.get_logger("twin.index")


class QdrantIndex:
    """The index of one recipe on a server."""

    def __init__(self, client: "QdrantClient", recipe: str, where: str) -> None:
        self.client = client
        self.recipe = recipe
        self.where = where
        self.alias = f"chunks_{recipe}"
        self.alias_before = f"{self.alias}_before"

    @classmethod
    def at(cls, settings: Settings, recipe: str) -> "QdrantIndex":
        """The index on the server of the settings; nothing is connected yet."""
        from qdrant_client import QdrantClient

        url = settings.index_url or ""
        key = settings.index_api_key
        client = QdrantClient(
            url=url,
            api_key=key.get_secret_value() if key else None,
            timeout=TIMEOUT_SECONDS,
            check_compatibility=False,
        )
        parts = urlsplit(url)
        return cls(client, recipe, f"{parts.hostname}:{parts.port or 6333}")

    def state(self) -> IndexState | None:
        """What is published, or None."""
        with self.plain_errors():
            name = self.current()
            return None if name is None else self.state_of(name)

    def read(self, embedder: str | None = None) -> "QdrantReader":
        """A reader that follows what is published (see `Index.read`)."""
        with self.plain_errors():
            return QdrantReader(self, embedder)

    @contextmanager
    def write(
        self, spec: IndexSpec, dimension: int, *, rebuild: bool = False
    ) -> Iterator["QdrantWriter"]:
        """A writer on the newest collection of the same spec, else on a new one."""
        with self.plain_errors():
            name = None if rebuild else self._newest_of(spec, dimension)
            name = name or self._create(spec, dimension)
            self._index_payload(name)
            yield QdrantWriter(self, name, spec, dimension)

    def recipes(self) -> list[str]:
        """Names of all recipes that have a collection on the server."""
        with self.plain_errors():
            names = [item.name for item in self.client.get_collections().collections]
        found = (_COLLECTION.fullmatch(name) for name in names)
        return sorted({match["recipe"] for match in found if match})

    def forget(self, document_ids: Collection[str]) -> int:
        """Erase documents from every collection of the recipe.

        The server hides their points at once, and frees the room when it next vacuums.
        """
        erased = 0
        with self.plain_errors():
            current = self.current()
            for name in self.collections():
                spec, dimension = self.spec_of(name)
                writer = QdrantWriter(self, name, spec, dimension)
                states = writer.state.documents
                known = [id_ for id_ in set(document_ids) if id_ in states]
                if name == current:
                    erased = sum(states[id_].chunks for id_ in known)
                writer.delete(known)
        return erased

    def kept(self) -> dict[str, IndexState]:
        """The collections beside the published one."""
        with self.plain_errors():
            current = self.current()
            return {name: self.state_of(name) for name in self.collections() if name != current}

    def purge(self, document_ids: Collection[str]) -> int:
        """Take documents out of the collections beside the published one."""
        ids = set(document_ids)
        holders = [name for name, state in self.kept().items() if ids & state.documents.keys()]
        with self.plain_errors():
            for name in holders:
                QdrantWriter(self, name, *self.spec_of(name)).delete(sorted(ids))
        return len(holders)

    def current(self) -> str | None:
        """The collection that the alias names."""
        return self.aliases().get(self.alias)

    def aliases(self) -> dict[str, str]:
        """Names of collections by alias."""
        return {a.alias_name: a.collection_name for a in self.client.get_aliases().aliases}

    def collections(self) -> list[str]:
        """All collections of this recipe, oldest first."""
        names = (item.name for item in self.client.get_collections().collections)
        return sorted(name for name in names if name.startswith(f"{self.alias}_"))

    def spec_of(self, name: str) -> tuple[IndexSpec, int]:
        """Spec and dimension of a collection.

        Raises:
            BadDataError: some other program made it.
        """
        metadata = self.client.get_collection(name).config.metadata or {}
        try:
            return IndexSpec.model_validate(metadata["spec"]), int(metadata["dimension"])
        except (KeyError, ValueError):
            raise BadDataError(
                f"index collection {name} at {self.where} was not made by `twin features build`: "
                "remove it or give the recipe another name"
            ) from None

    def state_of(self, name: str) -> IndexState:
        """The documents that a collection holds; those left unfinished have revision ""."""
        spec, _ = self.spec_of(name)
        documents: dict[str, DocumentState] = {}
        offset = None
        while True:
            records, offset = self.client.scroll(
                name, scroll_filter=_is("document"), limit=1_000, offset=offset, with_payload=True
            )
            for record in records:
                payload = record.payload or {}
                documents[payload["document_id"]] = DocumentState.model_validate(payload)
            if offset is None:
                found = self.min_score_of(name)
                return IndexState(spec=spec, documents=documents, min_score=found)

    def min_score_of(self, name: str) -> float | None:
        """`IndexState.min_score` of a collection."""
        records = self.client.retrieve(name, [WHOLE], with_payload=True)
        return (records[0].payload or {}).get("min_score") if records else None

    @contextmanager
    def plain_errors(self) -> Iterator[None]:
        """Turn what the client raises into errors that say what to do."""
        from qdrant_client.common.client_exceptions import QdrantException
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        try:
            yield
        except ResponseHandlingException:
            raise TryAgainError(
                f"the index server {self.where} does not answer: is it started, and is "
                "TWIN_INDEX_URL right?"
            ) from None
        except QdrantException:  # the client's only other one: how long to wait
            raise self._refused(429, b"") from None
        except UnexpectedResponse as error:
            raise self._refused(error.status_code or 500, error.content) from None

    def _refused(self, status: int, content: bytes) -> TwinError:
        if status in {401, 403}:
            return BadConfigurationError(
                f"the index server {self.where} refuses the key: set TWIN_INDEX_API_KEY"
            )
        told = f"the index server {self.where} answered {status}"
        # 404: another job has removed the collection meanwhile.
        if status in {404, 429} or status >= 500:
            return TryAgainError(told)
        return BadDataError(f"{told}: {_reason(content):.300}")

    def _newest_of(self, spec: IndexSpec, dimension: int) -> str | None:
        """May be newer than the published one: then a killed build left it, and is gone on with."""
        for name in reversed(self.collections()):
            if self.spec_of(name) == (spec, dimension):
                return name
        return None

    def _create(self, spec: IndexSpec, dimension: int) -> str:
        from qdrant_client import models

        names = self.collections()
        number = int(names[-1].rsplit("_", 1)[1]) + 1 if names else 1
        name = f"{self.alias}_{number:06d}"
        self.client.create_collection(
            name,
            vectors_config={
                DENSE: models.VectorParams(size=dimension, distance=models.Distance.COSINE)
            },
            sparse_vectors_config={SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
            metadata={"spec": spec.model_dump(mode="json"), "dimension": dimension},
        )
        return name

    def _index_payload(self, name: str) -> None:
        from qdrant_client import models

        keyword, date = models.PayloadSchemaType.KEYWORD, models.PayloadSchemaType.DATETIME
        fields = dict.fromkeys(("record", *FILTER_FIELDS), keyword) | {"published": date}
        present = self.client.get_collection(name).payload_schema
        for field in fields.keys() - present.keys():
            self.client.create_payload_index(name, field, fields[field], wait=True)


class QdrantReader:
    """Searches the published collection and follows the alias to the next."""

    def __init__(self, index: QdrantIndex, embedder: str | None = None) -> None:
        self._index = index
        aliases = index.aliases()
        if index.alias not in aliases:
            raise contract.nothing_published(index.recipe)
        self._name = aliases[index.alias]
        self._spec, _ = index.spec_of(self._name)
        before = aliases.get(index.alias_before)
        if before and embedder not in (None, self._spec.embedder):
            spec, _ = index.spec_of(before)
            if spec.embedder == embedder:
                self._name, self._spec = before, spec
        self._min_score = index.min_score_of(self._name)
        self._looked = time.monotonic()

    @property
    def spec(self) -> IndexSpec:
        """What the vectors searched now were made with."""
        return self._spec

    @property
    def state(self) -> IndexState:
        """What is searched now."""
        with self._index.plain_errors():
            return self._index.state_of(self._follow())

    @property
    def min_score(self) -> float | None:
        """See `IndexReader.min_score`; some seconds old."""
        with self._index.plain_errors():
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
        query = _query(dense, text, k, _condition(filter))
        if query is None:
            return []
        with self._index.plain_errors():
            # One more than asked for: which of two equal scores is cut must not be left to chance.
            points = self._index.client.query_points(
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
                _dense(point.vector) if vectors else None,
            )
            for point in points
        ]
        return contract.hits_in_order(hits, k)

    def get(self, chunk_ids: Sequence[str]) -> dict[str, Chunk]:
        """The chunks of these ids; those that are not there are left out."""
        if not chunk_ids:
            return {}
        with self._index.plain_errors():
            return _chunks(self._index.client, self._follow(), chunk_ids)

    def vectors(self, chunk_ids: Sequence[str]) -> dict[str, Sequence[float]]:
        """Dense vectors of the chunks of these ids; those that are not there are left out."""
        with self._index.plain_errors():
            return _vectors(self._index.client, self._follow(), chunk_ids)

    def chunks(self, document_ids: Collection[str] | None = None) -> Iterator[Chunk]:
        """All chunks, or those of some documents, in order of document id and ordinal."""
        with self._index.plain_errors():
            name = self._follow()
            state = self._index.state_of(name)
            for ids in contract.batches_of_ids(state, BATCH, document_ids):
                records = self._index.client.retrieve(name, list(ids), with_payload=True)
                found = {str(record.id): record.payload for record in records}
                # A document may be replaced while this goes on: its old chunks are passed over.
                yield from (Chunk.model_validate(found[id_]) for id_ in ids if id_ in found)

    def documents(self) -> Iterator[IndexedDocument]:
        """All documents whole, in order of id."""
        with self._index.plain_errors():
            name = self._follow()
            state = self._index.state_of(name)
            for document_id, document in sorted(state.documents.items()):
                ids = contract.chunk_ids(document_id, document, state.spec)
                records = self._index.client.retrieve(
                    name, list(ids), with_payload=True, with_vectors=[DENSE]
                )
                found = {str(record.id): record for record in records}
                if not document.revision or set(ids) - set(found):
                    raise contract.unfinished(document_id)
                chunks = [Chunk.model_validate(found[id_].payload) for id_ in ids]
                vectors = [_dense(found[id_].vector) for id_ in ids]
                yield IndexedDocument.of(document_id, document, chunks, vectors)

    def stored_chunks(self) -> Iterator[Chunk]:
        """Every chunk that the collection holds, whatever the records of documents say."""
        with self._index.plain_errors():
            name, offset = self._follow(), None
            while True:
                records, offset = self._index.client.scroll(
                    name, scroll_filter=_is("chunk"), limit=BATCH, offset=offset, with_payload=True
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
        name = self._index.current()
        if name not in (None, self._name):
            spec, _ = self._index.spec_of(str(name))
            if spec.embedder == self._spec.embedder:
                self._name, self._spec = str(name), spec
            else:
                log.warning("index made with another embedder: not followed", collection=name)
        self._min_score = self._index.min_score_of(self._name)
        return self._name


class QdrantWriter:
    """Changes a collection document by document."""

    def __init__(self, index: QdrantIndex, name: str, spec: IndexSpec, dimension: int) -> None:
        self._index = index
        self._client = index.client
        self._name = name
        self._spec = spec
        self._dimension = dimension
        state = index.state_of(name)
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
        documents = contract.last_of_each(documents)
        for document in documents:
            contract.check(document, self._spec, self._dimension)
        unfinished = {document.id: DocumentState(revision="", chunks=0) for document in documents}
        self._record(unfinished)
        self._put([point for document in documents for point in _points(document)])
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
            records: list[models.ExtendedPointId] = [_record_id(id_) for id_ in batch]
            self._client.delete(self._name, models.PointIdsList(points=records), wait=True)
            for id_ in batch:
                del self._documents[id_]

    def checkpoint(self) -> None:
        """Nothing to do: every finished document is durable."""

    def publish(self) -> str:
        """Move the alias here, and remove all but the collection before.

        That of the embedder before is kept as well, under an alias of its own.
        """
        contract.check_release(self.state, self.work, self._name)
        former = self._index.current()
        if former == self._name:
            return self._name
        aliases = self._index.aliases()
        moves = self._moved(self._index.alias, self._name, aliases)
        if former and self._index.spec_of(former)[0].embedder != self._spec.embedder:
            moves += self._moved(self._index.alias_before, former, aliases)
        self._client.update_collection_aliases(moves)
        before = self._index.aliases().get(self._index.alias_before)
        for old in set(self._index.collections()) - {self._name, former, before}:
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
                id=_record_id(id_),
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

        condition = _is("chunk")
        condition.must = [
            *condition.must,  # type: ignore[misc] # set as a list by _is
            models.FieldCondition(key="document_id", match=models.MatchAny(any=list(document_ids))),
        ]
        if kept:
            condition.must_not = [models.HasIdCondition(has_id=list(kept))]
        self._client.delete(self._name, models.FilterSelector(filter=condition), wait=True)


class _Work:
    """What a writer has made and perhaps not published (see `contract.Unpublished`)."""

    def __init__(self, client: "QdrantClient", name: str) -> None:
        self._client = client
        self._name = name

    def count(self) -> int:
        return self._client.count(self._name, count_filter=_is("chunk"), exact=True).count

    def vectors(self, ids: Sequence[str]) -> dict[str, Sequence[float]]:
        return _vectors(self._client, self._name, ids)

    def get(self, ids: Sequence[str]) -> dict[str, Chunk]:
        return _chunks(self._client, self._name, ids)

    def nearest(self, vector: Sequence[float], k: int) -> list[tuple[str, float]]:
        points = self._client.query_points(
            self._name, query=list(vector), using=DENSE, limit=k
        ).points
        return [(str(point.id), point.score) for point in points]


def _chunks(client: "QdrantClient", collection: str, ids: Sequence[str]) -> dict[str, Chunk]:
    records = client.retrieve(collection, list(ids), with_payload=True) if ids else []
    return {str(record.id): Chunk.model_validate(record.payload) for record in records}


def _vectors(
    client: "QdrantClient", collection: str, ids: Sequence[str]
) -> dict[str, Sequence[float]]:
    if not ids:
        return {}
    records = client.retrieve(collection, list(ids), with_payload=False, with_vectors=[DENSE])
    return {str(record.id): _dense(record.vector) for record in records}


def _reason(content: bytes) -> str:
    """What a server says of a request that it refuses, in one line."""
    try:
        text = str(json.loads(content)["status"]["error"])
    except (ValueError, KeyError, TypeError):
        text = content.decode("utf-8", "replace")
    return " ".join(text.split())


def _dense(vector: Any) -> Sequence[float]:
    return tuple(vector[DENSE])


def _record_id(document_id: str) -> str:
    """Id of the point that holds a document's state."""
    return str(uuid.uuid5(NAMESPACE, f"document record\n{document_id}"))


def _points(document: IndexedDocument) -> "list[models.PointStruct]":
    from qdrant_client import models

    points = []
    for chunk, vector in zip(document.chunks, document.vectors, strict=True):
        terms = contract.sparse_passage(chunk)
        sparse = models.SparseVector(indices=list(terms.indices), values=list(terms.values))
        points.append(
            models.PointStruct(
                id=chunk.id,
                vector={DENSE: list(vector), SPARSE: sparse},
                payload={"record": "chunk", **contract.payload_of(chunk)},
            )
        )
    return points


def _is(record: str) -> "models.Filter":
    from qdrant_client import models

    return models.Filter(
        must=[models.FieldCondition(key="record", match=models.MatchValue(value=record))]
    )


def _query(
    dense: Sequence[float] | None, text: str | None, k: int, condition: "models.Filter | None"
) -> dict[str, Any] | None:
    """Arguments of `query_points`: one arm, or two with fusion by rank; None without an arm."""
    from qdrant_client import models

    arms: list[dict[str, Any]] = []
    if dense is not None:
        arms.append({"query": list(dense), "using": DENSE})
    if text is not None and (terms := contract.sparse_question(text)).indices:
        sparse = models.SparseVector(indices=list(terms.indices), values=list(terms.values))
        arms.append({"query": sparse, "using": SPARSE})
    if len(arms) < 2:
        return {**arms[0], "query_filter": condition} if arms else None
    limit = contract.candidates(k)
    return {
        "query": models.RrfQuery(rrf=models.Rrf(k=RRF_K)),
        "prefetch": [models.Prefetch(limit=limit, filter=condition, **arm) for arm in arms],
    }


def _condition(filter: ChunkFilter | None) -> "models.Filter | None":
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
