"""The one writer of the embedded index."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from twin.domain.chunk import Chunk
from twin.domain.errors import BadDataError
from twin.stores.embedded.points import chunks_in, points_of, vectors_in, with_payload_indexes
from twin.stores.embedded.releases import (
    ReleaseFolder,
    ReleaseState,
    copy_sparse,
    load_shard,
    read_state,
)
from twin.stores.index import DENSE, SPARSE, IndexedDocument, IndexSpec, IndexState
from twin.stores.index_release import check, check_release, chunk_ids, last_of_each

if TYPE_CHECKING:
    from qdrant_edge import EdgeShard

OPTIMISE_ABOVE = 50_000
"""Points above which building the graph index (minutes at 100,000) pays: below, an exhaustive
search takes at most some 12 ms."""

DELETED_SHARE = 0.25
"""Deleted points per live one above which the space of the deleted ones is taken back."""

BATCH = 256

log = structlog.get_logger("twin.index")


class EmbeddedWriter:
    """Changes a copy and renames it into place."""

    def __init__(
        self, folder: ReleaseFolder, spec: IndexSpec, dimension: int, *, rebuild: bool
    ) -> None:
        self._folder = folder
        self._work = folder.folder / "work"
        base = None if rebuild else self._base(spec, dimension)
        if base is None:
            self._release = ReleaseState(
                index=IndexState(spec=spec, documents={}), dimension=dimension
            )
            self._shard: EdgeShard | None = self._create()
        else:
            self._release = read_state(base)
            self._shard = self._copy(base)
        self._documents = dict(self._release.index.documents)

    @property
    def state(self) -> IndexState:
        """What the index would hold if it were published now."""
        return self._release.index.model_copy(update={"documents": self._documents})

    @property
    def work(self) -> "_Work":
        """What was made so far."""
        return _Work(self._open)

    def note_min_score(self, score: float | None) -> None:
        """See `IndexWriter.note_min_score`."""
        self._release.index = self._release.index.model_copy(update={"min_score": score})

    def upsert(self, documents: Sequence[IndexedDocument]) -> None:
        """Put documents in, each in place of all its former chunks."""
        from qdrant_edge import UpdateOperation

        spec = self._release.index.spec
        documents = last_of_each(documents)
        for document in documents:
            check(document, spec, self._release.dimension)
        self.delete([document.id for document in documents])
        points = [point for document in documents for point in points_of(document)]
        for start in range(0, len(points), BATCH):
            self._open.update(UpdateOperation.upsert_points(points[start : start + BATCH]))
        for document in documents:
            self._documents[document.id] = document.state

    def delete(self, document_ids: Sequence[str]) -> None:
        """Take documents out; unknown ids are passed over."""
        from qdrant_edge import UpdateOperation

        for document_id in document_ids:
            state = self._documents.pop(document_id, None)
            if state is not None and state.chunks:
                ids = chunk_ids(document_id, state, self._release.index.spec)
                self._open.update(UpdateOperation.delete_points(list(ids)))
                self._release.deleted += state.chunks

    def checkpoint(self) -> None:
        """Seal the work so far as a release of its own, and go on with a copy of it."""
        name = self._seal()
        before = self._folder.pointed_to("PARTIAL")
        self._folder.point("PARTIAL", name)
        if before is not None:
            shutil.rmtree(self._folder.release(before), ignore_errors=True)
        self._shard = self._copy(self._folder.release(name))

    def publish(self) -> str:
        """Seal the work, point readers to it, and remove all but the release before it."""
        self._optimise()
        check_release(self.state, self.work, f"release of {self._folder.recipe}")
        former = self._folder.current()
        name = self._seal()
        if former is not None and self._is_of_another_embedder(former):
            self._folder.point("BEFORE", former)
        self._folder.point("CURRENT", name)
        self._folder.point("PARTIAL", None)
        for old in set(self._folder.releases()) - {
            name,
            former,
            self._folder.pointed_to("BEFORE"),
        }:
            shutil.rmtree(self._folder.release(old), ignore_errors=True)
        return name

    def replace(self, name: str) -> str:
        """Put the work in the place of a kept release; returns its name."""
        self._finish()
        self._folder.replace(name)
        return name

    def _is_of_another_embedder(self, name: str) -> bool:
        try:
            state = read_state(self._folder.release(name)).index
        except BadDataError:
            return False
        return state.spec.embedder != self._release.index.spec.embedder

    def close(self) -> None:
        """Throw away what was neither published nor kept by a checkpoint."""
        if self._shard is not None:
            self._shard.close()
            self._shard = None
        shutil.rmtree(self._work, ignore_errors=True)

    @property
    def _open(self) -> "EdgeShard":
        if self._shard is None:
            raise RuntimeError("this writer has published; open another")
        return self._shard

    def _base(self, spec: IndexSpec, dimension: int) -> Path | None:
        """The checkpoint or release to go on from: of this spec and dimension, and whole."""
        for pointer in ("PARTIAL", "CURRENT", "BEFORE"):
            name = self._folder.pointed_to(pointer)
            if name is None:
                continue
            try:
                state = read_state(self._folder.release(name))
            except BadDataError as error:
                log.warning("starting over", reason=str(error))
                continue
            if state.index.spec == spec and state.dimension == dimension:
                return self._folder.release(name)
        return None

    def _create(self) -> "EdgeShard":
        from qdrant_edge import (
            Distance,
            EdgeConfig,
            EdgeShard,
            EdgeSparseVectorParams,
            EdgeVectorParams,
            Modifier,
        )

        shutil.rmtree(self._work, ignore_errors=True)
        path = self._work / "shard"
        path.mkdir(parents=True)
        config = EdgeConfig(
            vectors={DENSE: EdgeVectorParams(self._release.dimension, Distance.Cosine)},
            sparse_vectors={SPARSE: EdgeSparseVectorParams(modifier=Modifier.Idf)},
            wal_enabled=False,
        )
        return with_payload_indexes(EdgeShard.create(str(path), config))

    def _copy(self, base: Path) -> "EdgeShard":
        shutil.rmtree(self._work, ignore_errors=True)
        shutil.copytree(base, self._work, copy_function=copy_sparse)
        return with_payload_indexes(load_shard(self._work))

    def _optimise(self) -> None:
        live = self.state.chunks
        deleted = self._release.deleted
        if live > OPTIMISE_ABOVE or deleted > max(1_000, live * DELETED_SHARE):
            self._open.optimize()
            self._release.deleted = 0

    def _finish(self) -> None:
        """Flush and close the shard, and say what is in it."""
        self._open.flush()
        self._open.close()
        self._shard = None
        self._release.index = self.state
        state = self._release.model_dump_json()
        (self._work / "state.json").write_text(state, encoding="utf-8")

    def _seal(self) -> str:
        """Finish the work, then give it a name; returns the name."""
        self._finish()
        names = self._folder.releases()
        name = f"{int(names[-1]) + 1 if names else 1:06d}"
        self._folder.release(name).parent.mkdir(exist_ok=True)
        self._work.rename(self._folder.release(name))
        return name


class _Work:
    """What a writer has made and not published (see `twin.stores.index.Unpublished`)."""

    def __init__(self, shard: "EdgeShard") -> None:
        self._shard = shard

    def count(self) -> int:
        from qdrant_edge import CountRequest

        return int(self._shard.count(CountRequest(exact=True)))

    def vectors(self, ids: Sequence[str]) -> dict[str, Sequence[float]]:
        return vectors_in(self._shard, ids)

    def get(self, ids: Sequence[str]) -> dict[str, Chunk]:
        return chunks_in(self._shard, ids)

    def nearest(self, vector: Sequence[float], k: int) -> list[tuple[str, float]]:
        from qdrant_edge import Query, QueryRequest

        query = Query.Nearest(list(vector), using=DENSE)
        points = self._shard.query(QueryRequest(limit=k, query=query))
        return [(str(point.id), float(point.score)) for point in points]
