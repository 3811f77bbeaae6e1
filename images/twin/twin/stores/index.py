"""The index of a recipe's chunks: dense vectors, BM25 vectors, payloads; one protocol, two stores.

`open_index` gives the embedded index (release directories under the home folder) or, where
``index_url`` is set, collections on a Qdrant server. Both keep the same promises:

* A document is indexed whole or not at all, and `IndexState` says in which revision.
* What `IndexWriter.publish` returns stays searchable until the next one is published; readers
  follow without being opened again, unless the embedder changed: vectors of two embedders are
  never compared, so a reader stays with what its embedder can search. That is kept until the
  embedder changes once more, and documents that are gone leave it as well.
* A writer that is killed leaves the published index as it was or a superset that the next
  writer completes.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from twin.domain.chunk import Chunk
from twin.domain.errors import BadDataError
from twin.recipes import Recipe
from twin.settings import Settings

DENSE = "dense"
SPARSE = "bm25"

RRF_K = 60
"""Rank constant of reciprocal rank fusion, as in Cormack, Clarke and Büttcher (SIGIR 2009); given
explicitly because the stores' own defaults differ."""


class IndexSpec(BaseModel):
    """What the vectors were made with; two specs never share a release."""

    model_config = ConfigDict(frozen=True)

    embedder: str
    chunker: str
    sparse: str = "bm25-v3"

    @property
    def digest(self) -> str:
        """Short name of the spec (8 hex digits)."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]


class DocumentState(BaseModel):
    """In which revision a document is indexed, and in how many chunks.

    A document without words has none, nor has a duplicate; one that a killed writer left
    unfinished has revision "".
    """

    model_config = ConfigDict(frozen=True)

    revision: str
    chunks: int
    variant: str = ""
    """Digest of what was left out of its text because other documents hold it; "" if nothing.
    The same revision in another variant has other chunks, under other ids."""
    metadata: str = ""
    """Digest of what its chunks carry besides text: its fields, and by what rules personal data
    was noted."""
    duplicate_of: str | None = None
    """Id of the document that is indexed in its place."""
    personal_data: dict[str, int] = {}
    """How many items of personal data of each kind its title and text hold."""


class IndexState(BaseModel):
    """What an index holds, without its texts and vectors."""

    model_config = ConfigDict(frozen=True)

    spec: IndexSpec
    documents: dict[str, DocumentState]
    min_score: float | None = None
    """Cosine to a question from which on a passage may answer it, found when the index was built;
    None: not looked for, by a build before there was this."""

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return sum(document.chunks for document in self.documents.values())

    @property
    def fingerprint(self) -> str:
        """SHA-256 (first 16 hex digits) that is the same exactly when the chunk ids are.

        A chunk id is made of document, revision, ordinal, chunker and variant, so these are hashed.
        """
        lines = (
            "\t".join(
                filter(None, (id_, document.revision, str(document.chunks), document.variant))
            )
            for id_, document in sorted(self.documents.items())
            if document.chunks
        )
        text = "\n".join((self.spec.chunker, *lines))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class IndexedDocument:
    """A document as a writer takes it: all its chunks, each with its dense vector."""

    id: str
    revision: str
    chunks: Sequence[Chunk] = ()
    vectors: Sequence[Sequence[float]] = ()
    variant: str = ""
    metadata: str = ""
    duplicate_of: str | None = None
    personal_data: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        document_id: str,
        state: DocumentState,
        chunks: Sequence[Chunk],
        vectors: Sequence[Sequence[float]],
    ) -> "IndexedDocument":
        """A document as it is read back."""
        return cls(
            document_id,
            state.revision,
            chunks,
            vectors,
            state.variant,
            state.metadata,
            state.duplicate_of,
            state.personal_data,
        )

    @property
    def state(self) -> DocumentState:
        """What the index notes of it."""
        return DocumentState(
            revision=self.revision,
            chunks=len(self.chunks),
            variant=self.variant,
            metadata=self.metadata,
            duplicate_of=self.duplicate_of,
            personal_data=dict(self.personal_data),
        )


@dataclass(frozen=True)
class ChunkFilter:
    """Conditions on chunks, all of which must hold; an empty one holds for all.

    ``equal`` maps a field of `FILTER_FIELDS` to the values of which a chunk must have one,
    ``without`` to those of which it must have none; ``published_from`` is included,
    ``published_before`` is not.
    """

    equal: Mapping[str, Sequence[str]] = field(default_factory=dict)
    published_from: datetime | None = None
    published_before: datetime | None = None
    without: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := {*self.equal, *self.without} - set(FILTER_FIELDS):
            raise BadDataError(
                f"chunks can't be filtered by {sorted(unknown)}: use {', '.join(FILTER_FIELDS)}"
            )


#: Fields with a payload index, for filters and for deleting by document.
FILTER_FIELDS = (
    *("document_id", "author_id", "platform", "source", "kind", "language"),
    "personal_data",
)


@dataclass(frozen=True)
class Hit:
    """A chunk that was found, with its score (higher is better).

    ``vector`` is its dense vector, where the search was asked for vectors.
    """

    chunk: Chunk
    score: float
    vector: Sequence[float] | None = None


class IndexReader(Protocol):
    """Searches what is published; safe to share between threads."""

    @property
    def spec(self) -> IndexSpec:
        """What the vectors searched now were made with; light."""

    @property
    def state(self) -> IndexState:
        """What is searched now."""

    @property
    def min_score(self) -> float | None:
        """See `IndexState.min_score`; light, and of the release that is searched now."""

    def search(
        self,
        dense: Sequence[float] | None,
        text: str | None,
        k: int,
        filter: ChunkFilter | None = None,
        *,
        vectors: bool = False,
    ) -> list[Hit]:
        """The ``k`` best chunks, best first, with their dense ``vectors`` if wanted.

        With both a vector and a text: dense and BM25 neighbours joined by reciprocal rank fusion.
        With one of them: that arm alone, under its own scores (a vector's are cosines).
        """

    def get(self, chunk_ids: Sequence[str]) -> dict[str, Chunk]:
        """The chunks of these ids; those that are not there are left out."""

    def vectors(self, chunk_ids: Sequence[str]) -> dict[str, Sequence[float]]:
        """Dense vectors of the chunks of these ids; those that are not there are left out."""

    def chunks(self, document_ids: Collection[str] | None = None) -> Iterator[Chunk]:
        """All chunks, or those of some documents, in order of document id and ordinal."""

    def stored_chunks(self) -> Iterator[Chunk]:
        """Every chunk that the store really holds, in no order: what an audit compares."""

    def documents(self) -> Iterator[IndexedDocument]:
        """All documents whole, dense vectors included, in order of id: what a backup keeps.

        Raises:
            TryAgainError: a document was being replaced meanwhile.
        """

    def count(self) -> int:
        """Number of chunks."""

    def fingerprint(self) -> str:
        """Equal exactly when the chunk ids are (see `IndexState.fingerprint`)."""

    def close(self) -> None:
        """Let go of the store; searches already begun are finished."""


class IndexWriter(Protocol):
    """Changes an index. One at a time: a server can't refuse a second one, its caller must.

    Until `publish`, the embedded index shows nothing of the changes. A server shows each document
    as it is written when the spec is unchanged, and nothing when it builds for a new spec.
    """

    @property
    def state(self) -> IndexState:
        """What the index would hold if it were published now."""

    def upsert(self, documents: Sequence[IndexedDocument]) -> None:
        """Put documents in, each in place of all its former chunks."""

    def delete(self, document_ids: Sequence[str]) -> None:
        """Take documents out; unknown ids are passed over."""

    @property
    def work(self) -> "Unpublished":
        """What was made so far, to be looked at before it is published."""

    def note_min_score(self, score: float | None) -> None:
        """Have the release carry this `IndexState.min_score`."""

    def checkpoint(self) -> None:
        """Make the work so far durable, so that a writer after a kill goes on from here."""

    def publish(self) -> str:
        """Let readers see it, at one moment; returns the name of the release.

        Raises:
            TryAgainError: the release holds another number of chunks than it should, or some of
                its chunks cannot be found by their own vectors; what is published stays.
        """


class Index(Protocol):
    """The index of one recipe."""

    def state(self) -> IndexState | None:
        """What is published, or None; light: no vectors are read."""

    def read(self, embedder: str | None = None) -> IndexReader:
        """A reader of what is published.

        Args:
            embedder: id of the one that questions are encoded with. Where another has taken its
                place in the index, what it was searched in until then is kept and read, so that a
                server which is started again meanwhile goes on answering.

        Raises:
            BadDataError: nothing is published yet; says which command does it.
            TryAgainError: the store can't be reached.
        """

    def write(
        self, spec: IndexSpec, dimension: int, *, rebuild: bool = False
    ) -> AbstractContextManager[IndexWriter]:
        """A writer that goes on from what is there if that has the same spec, else from nothing.

        With ``rebuild`` it starts from nothing in any case.

        Raises:
            TryAgainError: another writer is at work, or the store can't be reached.
        """

    def kept(self) -> dict[str, IndexState]:
        """What each release holds that is kept beside the published one, by its name."""

    def purge(self, document_ids: Collection[str]) -> int:
        """Take documents out of the releases that are kept beside the published one.

        Returns:
            Number of releases that held any of them.
        """

    def recipes(self) -> list[str]:
        """Names of all recipes that have an index in this store, published or not, sorted.

        Raises:
            TryAgainError: the store can't be reached.
        """

    def forget(self, document_ids: Collection[str]) -> int:
        """Erase documents from what is published and from every release kept beside it.

        Returns:
            Number of chunks erased from what is published.

        Raises:
            TryAgainError: a writer is at work, or the store can't be reached.
        """


def open_index(settings: Settings, recipe: Recipe) -> Index:
    """The index of ``recipe``: on the Qdrant server of the settings, else embedded."""
    return open_index_of(settings, recipe.name)


def open_index_of(settings: Settings, recipe: str) -> Index:
    """`open_index` by the recipe's name."""
    if settings.index_url:
        from twin.stores.qdrant_index import QdrantIndex

        return QdrantIndex.at(settings, recipe)
    from twin.stores.embedded_index import EmbeddedIndex

    return EmbeddedIndex(settings.index_root / recipe, recipe)


class Unpublished(Protocol):
    """What is asked of a writer's work before readers may see it."""

    def count(self) -> int:
        """Number of chunks that are really there."""

    def vectors(self, ids: Sequence[str]) -> dict[str, Sequence[float]]:
        """Dense vectors of those of ``ids`` that are there."""

    def get(self, ids: Sequence[str]) -> dict[str, Chunk]:
        """Those chunks of ``ids`` that are there."""

    def nearest(self, vector: Sequence[float], k: int) -> list[tuple[str, float]]:
        """Ids and cosines of the ``k`` chunks nearest to a vector, best first."""
