"""`twin features verify`: does the index hold what the warehouse says, and nothing else?

Documents are cut again, without a model, and compared with what the store really holds, chunk by
chunk and both ways.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from twin.domain.chunk import Chunk
from twin.domain.errors import BadDataError
from twin.features.chunker import Chunker, chunker_of_recipe
from twin.features.plan import Wanted, curate_author, read_heads, wanted_of
from twin.job import Job
from twin.models.embedder import load_embedder
from twin.stores.index import Index, IndexSpec, IndexState, open_index
from twin.stores.index_release import chunk_ids, nothing_published
from twin.stores.warehouse import Warehouse, open_warehouse

SHOWN = 20
"""Differences of each sort that a result names."""


@dataclass
class Differences:
    """What is otherwise than it should be, by sort; each with the documents or chunks."""

    found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, sort: str, what: str) -> None:
        """Note one."""
        self.found.setdefault(sort, []).append(what)

    def __str__(self) -> str:
        """In one line: how many of each sort, and the first of them."""
        return "; ".join(
            f"{len(items)} {sort} (first: {items[0]})" for sort, items in self.found.items()
        )


def verify(job: Job) -> None:
    """Compare index and warehouse; the result's detail has the differences.

    Raises:
        BadDataError: they differ, or there is no index; says what to run.
        TryAgainError: a store can't be reached.
    """
    recipe, features = job.recipe, job.recipe.features
    index = open_index(job.settings, recipe)
    state = index.state()
    if state is None:
        raise nothing_published(recipe.name)
    embedder = load_embedder(features.embedder, job.settings)
    chunker = chunker_of_recipe(recipe, embedder)
    differences = Differences()
    with open_warehouse(job.settings) as warehouse:
        heads = read_heads(warehouse, recipe.author.id, chunker.detector.digest)
        curation = curate_author(warehouse, recipe.author.id, chunker, heads, keep=False)
        wanted = wanted_of(heads, curation)
        job.counts.read = len(wanted)
        spec = IndexSpec(embedder=embedder.id, chunker=chunker.version)
        if state.spec != spec:
            differences.add("other settings", f"made with {state.spec}, not {spec}")
        else:
            _compare_documents(wanted, state, differences)
            _compare_chunks(job, warehouse, chunker, wanted, index, differences)
    _compare_kept(index, wanted, differences)
    job.result.ids["index"] = state.fingerprint
    job.result.detail["chunks_in_index"] = state.chunks
    job.result.detail["differences"] = {
        sort: items[:SHOWN] for sort, items in differences.found.items()
    }
    if differences.found:
        raise BadDataError(
            f"the index of recipe {recipe.name} is not what the warehouse says: {differences}. "
            f"Run `twin features build --recipe {recipe.name}`; with --rebuild if that says there "
            "is nothing to do"
        )


def _compare_documents(
    wanted: Mapping[str, Wanted], state: IndexState, differences: Differences
) -> None:
    for id_ in sorted(wanted.keys() - state.documents.keys()):
        differences.add("live documents missing", id_)
    for id_ in sorted(state.documents.keys() - wanted.keys()):
        differences.add("documents that are not live", id_)
    for id_ in sorted(wanted.keys() & state.documents.keys()):
        if not wanted[id_].is_held(state.documents[id_]):
            differences.add("documents held otherwise", id_)


def _compare_chunks(
    job: Job,
    warehouse: Warehouse,
    chunker: Chunker,
    wanted: Mapping[str, Wanted],
    index: Index,
    differences: Differences,
) -> None:
    """Chunks as they should be against those stored; only digests are held in memory."""
    reader = index.read()
    try:
        stored: dict[str, int] = {}
        for chunk in reader.stored_chunks():
            if chunk.id in stored:
                differences.add("chunks stored twice", chunk.id)
            stored[chunk.id] = hash(chunk)
        state = reader.state
        known = {
            id_
            for document_id, held in state.documents.items()
            for id_ in chunk_ids(document_id, held, state.spec)
        }
        for id_ in sorted(known - stored.keys()):
            differences.add("recorded chunks missing", id_)
        with job.progress("documents compared", len(wanted)) as advance:
            for chunk in _expected(warehouse, job.recipe.author.id, chunker, wanted, advance):
                found = stored.pop(chunk.id, None)
                if found is None:
                    differences.add("chunks missing", chunk.id)
                elif found != hash(chunk):
                    differences.add("chunks with another content", chunk.id)
        for id_ in sorted(stored):
            differences.add("chunks of no live revision", id_)
    finally:
        reader.close()


def _expected(
    warehouse: Warehouse,
    author: str,
    chunker: Chunker,
    wanted: Mapping[str, Wanted],
    advance: Callable[[int], None],
) -> Iterator[Chunk]:
    for document in warehouse.live_documents(author, wanted):
        document_wanted = wanted[document.id]
        if not document_wanted.duplicate_of:
            yield from chunker.chunks(document, document_wanted.left_out, document_wanted.variant)
        advance(1)


def _compare_kept(index: Index, wanted: Mapping[str, Wanted], differences: Differences) -> None:
    for name, state in index.kept().items():
        for id_ in sorted(state.documents.keys() - wanted.keys()):
            differences.add("documents that are not live in kept releases", f"{id_} in {name}")
