"""The job `twin features build`: documents of the warehouse become chunks of the index.

Only what changed is worked on: the index knows in which revision it holds each document, the
warehouse which revision is live, and the difference is the work. That is known before a model is
loaded. A killed build leaves the published index alone, and the next build goes on from its last
checkpoint.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from twin.domain.chunk import Chunk
from twin.domain.document import Document
from twin.domain.errors import BadDataError, NothingToDo, TwinError
from twin.features.chunker import Chunker
from twin.job import Job
from twin.models.embedder import Embedder, load_embedder
from twin.stores.index import (
    IndexedDocument,
    IndexSpec,
    IndexState,
    IndexWriter,
    open_index,
)
from twin.stores.warehouse import Warehouse, open_warehouse

WINDOW_CHUNKS = 512
"""Chunks embedded together: enough to batch texts of like length, and memory stays flat."""

SHOWN_FAILURES = 3
"""Failed documents named in a message; the job's result has more of them."""

CHECKPOINT_CHUNKS = 5_000
"""Chunks between checkpoints: about a minute of embedding on two cores, seconds of copying."""


@dataclass(frozen=True)
class Plan:
    """What has to change in the index."""

    changed: frozenset[str]
    gone: frozenset[str]
    unchanged: int

    @property
    def is_empty(self) -> bool:
        """Whether the index already matches the warehouse."""
        return not self.changed and not self.gone


def plan(live: dict[str, str], state: IndexState | None, spec: IndexSpec) -> Plan:
    """Compare the live revisions with those indexed; an index of another spec counts for none."""
    indexed = state.documents if state is not None and state.spec == spec else {}
    changed = frozenset(
        id_
        for id_, revision in live.items()
        if id_ not in indexed or indexed[id_].revision != revision
    )
    return Plan(changed, frozenset(indexed.keys() - live.keys()), len(live) - len(changed))


def build(job: Job, *, rebuild: bool = False) -> None:
    """Bring the recipe's index up to date with the warehouse.

    Raises:
        NothingToDo: it is, but for documents that can't be indexed.
        BadDataError: the author has no live document, or none that can be indexed.
        TryAgainError: a store can't be reached, or another build is at work.
    """
    recipe, settings = job.recipe, job.settings
    features = recipe.features
    embedder = load_embedder(features.embedder, settings, batch_size=features.batch_size)
    chunker = Chunker(embedder, features.chunk_tokens)
    spec = IndexSpec(embedder=embedder.id, chunker=chunker.version)
    index = open_index(settings, recipe)
    with open_warehouse(settings) as warehouse:
        live = warehouse.live_revisions(recipe.author.id)
        if not live:
            raise BadDataError(
                f"the warehouse holds no document of author {recipe.author.id!r}: "
                f"run `twin crawl run --recipe {recipe.name}` (the index is left as it is)"
            )
        published = None if rebuild else index.state()
        if published and plan(live, published, spec).is_empty:
            job.counts.read = job.counts.skipped = len(live)
            _report_index(job, published)
            raise NothingToDo(f"the index holds all {len(live)} documents in their live revisions")
        with index.write(spec, embedder.dimension, rebuild=rebuild) as writer:
            todo = plan(live, writer.state, spec)
            _Build(job, chunker, embedder, writer).run(warehouse, todo)
            if writer.state == published:
                _report_index(job, published)
                raise NothingToDo(_all_but_failures(job))
            job.result.ids["release"] = writer.publish()
            _report_index(job, writer.state)


def _all_but_failures(job: Job) -> str:
    """What is left undone, and why, when nothing else was to be done."""
    shown = [f"{url}: {reason}" for url, reason in job.result.failures.items()][:SHOWN_FAILURES]
    return f"the index holds all but {job.counts.failed} documents ({'; '.join(shown)})"


def _report_index(job: Job, state: IndexState) -> None:
    job.result.ids["index"] = state.fingerprint
    job.result.ids["embedder"] = state.spec.embedder
    job.result.detail["chunks_in_index"] = state.chunks
    job.result.detail["documents_in_index"] = len(state.documents)


@dataclass
class _Build:
    """One run: documents are chunked one by one and embedded window by window."""

    job: Job
    chunker: Chunker
    embedder: Embedder
    writer: IndexWriter
    chunks: int = 0
    tokens: int = 0
    since_checkpoint: int = 0
    embedding_seconds: float = 0.0
    window: list[tuple[Document, list[Chunk]]] = field(default_factory=list)

    def run(self, warehouse: Warehouse, todo: Plan) -> None:
        """Remove what is gone, put in what changed."""
        counts = self.job.counts
        counts.read, counts.skipped = todo.unchanged + len(todo.changed), todo.unchanged
        self.writer.delete(sorted(todo.gone))
        author = self.job.recipe.author.id
        with self.job.progress("documents indexed", len(todo.changed)) as advance:
            for document in warehouse.live_documents(author, todo.changed):
                self._take(document, advance)
            self._embed(advance)
        if not self.writer.state.documents:
            reason = next(iter(self.job.result.failures.values()))
            raise BadDataError(f"none of {counts.failed} documents could be indexed: {reason}")
        self.job.result.detail |= {
            "documents_removed": len(todo.gone),
            "chunks_written": self.chunks,
            "tokens_embedded": self.tokens,
            "chunks_per_second": round(self.chunks / (self.embedding_seconds or 1), 1),
        }

    def _take(self, document: Document, advance: Callable[[int], None]) -> None:
        try:
            chunks = self.chunker.chunks(document)
        except TwinError as error:
            self.job.fail_item(document.url, str(error))
            self.writer.delete([document.id])  # rather than answer from a former revision
            advance(1)
            return
        self.window.append((document, chunks))
        if sum(len(chunks) for _, chunks in self.window) >= WINDOW_CHUNKS:
            self._embed(advance)

    def _embed(self, advance: Callable[[int], None]) -> None:
        """Embed the window and hand it to the index, a document whole or not at all."""
        if not self.window:
            return  # and load no model
        chunks = [chunk for _, chunks in self.window for chunk in chunks]
        started = time.monotonic()
        vectors = iter(self.embedder.encode([chunk.embedded_text for chunk in chunks]))
        self.embedding_seconds += time.monotonic() - started
        self.writer.upsert(list(_with_vectors(self.window, vectors)))
        self.job.counts.written += len(self.window)
        self.chunks += len(chunks)
        self.tokens += sum(chunk.token_count for chunk in chunks)
        advance(len(self.window))
        self.window = []
        self.since_checkpoint += len(chunks)
        if self.since_checkpoint >= CHECKPOINT_CHUNKS:
            self.writer.checkpoint()
            self.since_checkpoint = 0


def _with_vectors(
    window: list[tuple[Document, list[Chunk]]], vectors: Iterator[list[float]]
) -> Iterator[IndexedDocument]:
    for document, chunks in window:
        yield IndexedDocument(
            document.id, document.revision, chunks, [next(vectors) for _ in chunks]
        )
