"""The reader of the embedded index."""

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress

import structlog

from twin.domain.chunk import Chunk
from twin.domain.errors import BadDataError
from twin.stores.embedded.points import chunks_in, dense_vector, request_of, vectors_in
from twin.stores.embedded.releases import Release, ReleaseFolder, damaged, read_state, written
from twin.stores.index import ChunkFilter, Hit, IndexedDocument, IndexSpec, IndexState
from twin.stores.index_release import batches_of_ids, hits_in_order, nothing_published

BATCH = 256

log = structlog.get_logger("twin.index")


class EmbeddedReader:
    """Searches the published release and follows the pointer to the next."""

    def __init__(self, folder: ReleaseFolder, embedder: str | None = None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._release = self._load_first()
        self._seen = self._release.name
        if embedder not in (None, self._release.state.spec.embedder):
            before = self._before(str(embedder))
            if before is not None:
                self._release.shard.close()
                self._release = before

    @property
    def spec(self) -> IndexSpec:
        """What the vectors searched now were made with."""
        return self.state.spec

    @property
    def state(self) -> IndexState:
        """What is searched now."""
        with self._searching() as release:
            return release.state

    @property
    def min_score(self) -> float | None:
        """See `IndexReader.min_score`."""
        return self.state.min_score

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
        request = request_of(dense, text, k, filter, vectors=vectors)
        if request is None:
            return []
        with self._searching() as release:
            points = release.shard.query(request)
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
        with self._searching() as release:
            return chunks_in(release.shard, chunk_ids)

    def vectors(self, chunk_ids: Sequence[str]) -> dict[str, Sequence[float]]:
        """Dense vectors of the chunks of these ids; those that are not there are left out."""
        with self._searching() as release:
            return vectors_in(release.shard, chunk_ids)

    def chunks(self, document_ids: Collection[str] | None = None) -> Iterator[Chunk]:
        """Chunks of the release that is published when iteration begins."""
        with self._searching() as release:
            for ids in batches_of_ids(release.state, BATCH, document_ids):
                records = release.shard.retrieve(list(ids), True, False)
                found = {str(record.id): record.payload for record in records}
                if missing := set(ids) - set(found):
                    raise damaged(
                        release.directory,
                        KeyError(f"{len(missing)} chunks are missing"),
                    )
                yield from (Chunk.model_validate(found[id_]) for id_ in ids)

    def documents(self) -> Iterator[IndexedDocument]:
        """All documents of the release that is published when iteration begins."""
        with self._searching() as release:
            yield from release.documents()

    def stored_chunks(self) -> Iterator[Chunk]:
        """Every chunk that the shard holds, whatever ``state.json`` says."""
        from qdrant_edge import ScrollRequest

        with self._searching() as release:
            offset = None
            while True:
                request = ScrollRequest(offset=offset, limit=BATCH, with_payload=True)
                records, offset = release.shard.scroll(request)
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
        """Close the release once the searches already begun are done."""
        with self._lock:
            self._release.retired = True
            self._release.close_if_idle()

    @contextmanager
    def _searching(self) -> Iterator[Release]:
        self._follow()
        with self._lock:
            release = self._release
            release.searches += 1
        try:
            yield release
        finally:
            with self._lock:
                release.searches -= 1
                release.close_if_idle()

    def _load_first(self) -> Release:
        # A release may be pruned between reading its name and loading it; the next name is there.
        for attempt in range(3):
            name = self._folder.current()
            if name is None:
                break
            try:
                return Release(self._folder.release(name))
            except BadDataError:
                if attempt == 2 or name == self._folder.current():
                    raise
        raise nothing_published(self._folder.recipe)

    def _before(self, embedder: str) -> Release | None:
        """The last release of the embedder before, if it is the one that is wanted."""
        name = self._folder.pointed_to("BEFORE")
        with suppress(BadDataError):
            directory = self._folder.release(str(name))
            if name and read_state(directory).index.spec.embedder == embedder:
                return Release(directory)
        return None

    def _follow(self) -> None:
        """Load a newly published release; meanwhile other threads search the old one."""
        name = self._folder.current()
        if name is None or (name == self._seen and not self._rewritten()):
            return
        if not self._loading.acquire(blocking=False):
            return
        try:
            self._take(name)
        finally:
            self._loading.release()

    def _rewritten(self) -> bool:
        """Whether the release that is searched, not being the published one, was written anew."""
        release = self._release
        if release.name == self._seen:
            return False
        return written(self._folder.release(release.name)) not in (None, release.written)

    def _take(self, name: str) -> None:
        directory = self._folder.release(name)
        try:
            embedder = read_state(directory).index.spec.embedder
            if embedder != self._release.state.spec.embedder:
                if name != self._seen:
                    log.warning("index made with another embedder: not followed", embedder=embedder)
                self._seen = name
                if not self._rewritten():
                    return
                directory = self._folder.release(self._release.name)
            new = Release(directory)
        except BadDataError as error:
            log.warning("new index release not readable, kept the old one", reason=str(error))
            return
        with self._lock:
            old, self._release, self._seen = self._release, new, name
            old.retired = True
            old.close_if_idle()
