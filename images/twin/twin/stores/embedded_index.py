"""The embedded index: Qdrant's own engine in-process, over release directories.

::

    <folder>/CURRENT                 name of the release that is searched
    <folder>/BEFORE                  name of the last release of the embedder before, if any
    <folder>/PARTIAL                 name of a checkpoint that a killed writer left, if any
    <folder>/releases/000007/shard   a finished shard, never changed again
    <folder>/releases/000007/state.json
    <folder>/work                    what the one writer (`lock`) is changing

A shard with a write-ahead log locks its directory, so releases are made without one: any number
of processes may load a finished directory. The price is that only ``flush`` makes work durable,
which is why a writer works on a copy and renames it when it is flushed and closed.
"""

import fcntl
import os
import shutil
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import BaseModel

from twin.domain.chunk import Chunk
from twin.domain.errors import BadDataError, TryAgainError
from twin.stores import index as contract
from twin.stores.index import (
    DENSE,
    FILTER_FIELDS,
    RRF_K,
    SPARSE,
    ChunkFilter,
    Hit,
    IndexedDocument,
    IndexSpec,
    IndexState,
)

if TYPE_CHECKING:
    from qdrant_edge import EdgeShard, Filter, QueryRequest

OPTIMISE_ABOVE = 50_000
"""Points above which building the graph index (minutes at 100,000) pays: below, an exhaustive
search takes at most some 12 ms."""

DELETED_SHARE = 0.25
"""Deleted points per live one above which the space of the deleted ones is taken back."""

BATCH = 256

DOCUMENTS_PER_COPY = 64

log = structlog.get_logger("twin.index")


class ReleaseState(BaseModel):
    """``state.json`` of a release."""

    index: IndexState
    dimension: int
    deleted: int = 0


class EmbeddedIndex:
    """The index of one recipe in a folder of its own."""

    def __init__(self, folder: Path, recipe: str) -> None:
        self.folder = folder
        self.recipe = recipe

    def state(self) -> IndexState | None:
        """What is published, or None."""
        name = self.current()
        return None if name is None else read_state(self.release(name)).index

    def read(self, embedder: str | None = None) -> "EmbeddedReader":
        """A reader that follows what is published (see `Index.read`)."""
        return EmbeddedReader(self, embedder)

    @contextmanager
    def write(
        self, spec: IndexSpec, dimension: int, *, rebuild: bool = False
    ) -> Iterator["EmbeddedWriter"]:
        """The one writer, on a copy of the checkpoint or release of the same spec."""
        with self.write_alone():
            writer = EmbeddedWriter(self, spec, dimension, rebuild=rebuild)
            try:
                yield writer
            finally:
                writer.close()

    @contextmanager
    def write_alone(self) -> Iterator[None]:
        """Hold the lock of the one writer.

        Raises:
            TryAgainError: another process holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TryAgainError(
                    f"the index of recipe {self.recipe!r} is being built by another process"
                ) from None
            yield

    def recipes(self) -> list[str]:
        """Names of all recipes that have a folder beside this one."""
        return sorted(found.parent.name for found in self.folder.parent.glob("*/releases"))

    def forget(self, document_ids: Collection[str]) -> int:
        """Erase documents: a new release without them takes the place of all there are.

        It is written afresh, since the engine only marks what is deleted from a copy. What a killed
        writer left goes in any case, and so does a damaged release: nobody knows what they hold.
        """
        ids = set(document_ids)
        if not self.folder.exists():
            return 0
        with self.write_alone():
            shutil.rmtree(self.folder / "work", ignore_errors=True)
        current, beside = self.current(), self.kept()
        published = read_state(self.release(current)) if current else None
        states = [*beside.values(), *([published.index] if published else [])]
        damaged = set(self.releases()) - {current, *beside}
        if not damaged and not any(ids & state.documents.keys() for state in states):
            return 0
        if published is None:  # only what a killed build left
            self._keep_only(set())
            return 0
        erased = (published.index.documents.get(id_) for id_ in ids)
        name = self._without(str(current), ids)
        before = self.pointed_to("BEFORE")
        # A server that has not been told of the new embedder yet searches this one.
        if before in beside and ids & beside[before].documents.keys():
            self._without(before, ids, in_place=True)
        self._keep_only({name, before} - damaged)
        return sum(state.chunks for state in erased if state)

    def _without(self, name: str, ids: set[str], *, in_place: bool = False) -> str:
        """Write a release afresh without these documents; returns the name of what it is now."""
        release = Release(self.release(name))
        spec, dimension = release.state.spec, read_state(self.release(name)).dimension
        try:
            with self.write(spec, dimension, rebuild=True) as writer:
                writer.note_min_score(release.state.min_score)
                kept = (item for item in self.documents_of(release) if item.id not in ids)
                while batch := list(islice(kept, DOCUMENTS_PER_COPY)):
                    writer.upsert(batch)
                return writer.replace(name) if in_place else writer.publish()
        finally:
            release.shard.close()

    def documents_of(self, release: "Release") -> Iterator[IndexedDocument]:
        """All documents of a release whole, in order of id."""
        for document_id, state in sorted(release.state.documents.items()):
            ids = contract.chunk_ids(document_id, state, release.state.spec)
            records = release.shard.retrieve(list(ids), True, True) if ids else []
            found = {str(record.id): record for record in records}
            if missing := set(ids) - set(found):
                raise _damaged(
                    self.release(release.name),
                    KeyError(f"{len(missing)} chunks of document {document_id} are missing"),
                )
            chunks = [Chunk.model_validate(found[id_].payload) for id_ in ids]
            vectors = [_dense(found[id_].vector) for id_ in ids]
            yield IndexedDocument.of(document_id, state, chunks, vectors)

    def kept(self) -> dict[str, IndexState]:
        """The releases beside the published one, checkpoints too; not those that are damaged."""
        current = self.current()
        found = {}
        for name in self.releases():
            with suppress(BadDataError):
                if name != current:
                    found[name] = read_state(self.release(name)).index
        return found

    def purge(self, document_ids: Collection[str]) -> int:
        """Put a copy without these documents in the place of each kept release that has them."""
        ids = set(document_ids)
        holders = {
            name: state for name, state in self.kept().items() if ids & state.documents.keys()
        }
        if not holders:
            return 0
        with self.write_alone():
            for name in holders:
                self._rewrite(name, ids)
        return len(holders)

    def _rewrite(self, name: str, without: set[str]) -> None:
        from qdrant_edge import UpdateOperation

        work, release = self.folder / "work", self.release(name)
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(release, work, copy_function=copy_sparse)
        state = read_state(work)
        shard = load_shard(work)
        documents = dict(state.index.documents)
        for id_ in without & documents.keys():
            gone = documents.pop(id_)
            if gone.chunks:
                ids = contract.chunk_ids(id_, gone, state.index.spec)
                shard.update(UpdateOperation.delete_points(list(ids)))
                state.deleted += gone.chunks
        shard.flush()
        shard.close()
        state.index = state.index.model_copy(update={"documents": documents})
        (work / "state.json").write_text(state.model_dump_json(), encoding="utf-8")
        self.replace(name)

    def _keep_only(self, names: set[str | None]) -> None:
        self.point("PARTIAL", None)
        for other in set(self.releases()) - names:
            shutil.rmtree(self.release(other))

    def replace(self, name: str) -> None:
        """Put what was made in the work directory in the place of a kept release."""
        # Killed between the two, the release is missing: it is no longer the published one.
        shutil.rmtree(self.release(name))
        (self.folder / "work").rename(self.release(name))

    def current(self) -> str | None:
        """Name of the published release."""
        return self.pointed_to("CURRENT")

    def pointed_to(self, pointer: str) -> str | None:
        """The release that a pointer file names."""
        try:
            return (self.folder / pointer).read_text(encoding="utf-8").strip() or None
        except FileNotFoundError:
            return None

    def point(self, pointer: str, name: str | None) -> None:
        """Change a pointer file at one moment; None removes it."""
        path = self.folder / pointer
        if name is None:
            path.unlink(missing_ok=True)
            return
        temporary = path.with_suffix(".tmp")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(f"{name}\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    def release(self, name: str) -> Path:
        """Directory of a release."""
        return self.folder / "releases" / name

    def releases(self) -> list[str]:
        """Names of the releases on disk, oldest first."""
        return sorted(path.name for path in (self.folder / "releases").glob("*"))


def read_state(release: Path) -> ReleaseState:
    """``state.json`` of a release.

    Raises:
        BadDataError: it is gone or damaged.
    """
    try:
        text = (release / "state.json").read_text(encoding="utf-8")
        return ReleaseState.model_validate_json(text)
    except (OSError, ValueError) as error:
        raise _damaged(release, error) from None


def load_shard(directory: Path) -> "EdgeShard":
    """Open the shard of a release or of the work directory.

    Raises:
        BadDataError: it is gone or damaged.
    """
    from qdrant_edge import EdgeShard

    try:
        return EdgeShard.load(str(directory / "shard"))
    except Exception as error:  # the engine raises nothing more specific
        raise _damaged(directory, error) from None


def _damaged(release: Path, error: Exception) -> BadDataError:
    reason = " ".join(str(error).split())
    return BadDataError(
        f"index release {release} can't be read ({reason:.200}): "
        "run `twin features build` with --rebuild"
    )


def written(directory: Path) -> tuple[int, int] | None:
    """What differs when a release has been written anew under its name; None if it is gone."""
    try:
        file = (directory / "state.json").stat()
    except OSError:
        return None
    return file.st_ino, file.st_mtime_ns


class Release:
    """A loaded release; closed when it is retired and its last search is done."""

    def __init__(self, directory: Path) -> None:
        self.name = directory.name
        self.written = written(directory)
        self.state = read_state(directory).index
        self.shard = load_shard(directory)
        self.searches = 0
        self.retired = False

    def close_if_idle(self) -> None:
        """Close a retired release; closing during a search would fail that search."""
        if self.retired and self.searches == 0:
            self.shard.close()


class EmbeddedReader:
    """Searches the published release and follows the pointer to the next."""

    def __init__(self, index: EmbeddedIndex, embedder: str | None = None) -> None:
        self._index = index
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
        request = _request(dense, text, k, filter, vectors=vectors)
        if request is None:
            return []
        with self._searching() as release:
            points = release.shard.query(request)
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
        with self._searching() as release:
            return _chunks(release.shard, chunk_ids)

    def vectors(self, chunk_ids: Sequence[str]) -> dict[str, Sequence[float]]:
        """Dense vectors of the chunks of these ids; those that are not there are left out."""
        with self._searching() as release:
            return _vectors(release.shard, chunk_ids)

    def chunks(self, document_ids: Collection[str] | None = None) -> Iterator[Chunk]:
        """Chunks of the release that is published when iteration begins."""
        with self._searching() as release:
            for ids in contract.batches_of_ids(release.state, BATCH, document_ids):
                records = release.shard.retrieve(list(ids), True, False)
                found = {str(record.id): record.payload for record in records}
                if missing := set(ids) - set(found):
                    raise _damaged(
                        self._index.release(release.name),
                        KeyError(f"{len(missing)} chunks are missing"),
                    )
                yield from (Chunk.model_validate(found[id_]) for id_ in ids)

    def documents(self) -> Iterator[IndexedDocument]:
        """All documents of the release that is published when iteration begins."""
        with self._searching() as release:
            yield from self._index.documents_of(release)

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
            name = self._index.current()
            if name is None:
                break
            try:
                return Release(self._index.release(name))
            except BadDataError:
                if attempt == 2 or name == self._index.current():
                    raise
        raise contract.nothing_published(self._index.recipe)

    def _before(self, embedder: str) -> Release | None:
        """The last release of the embedder before, if it is the one that is wanted."""
        name = self._index.pointed_to("BEFORE")
        with suppress(BadDataError):
            directory = self._index.release(str(name))
            if name and read_state(directory).index.spec.embedder == embedder:
                return Release(directory)
        return None

    def _follow(self) -> None:
        """Load a newly published release; meanwhile other threads search the old one."""
        name = self._index.current()
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
        return written(self._index.release(release.name)) not in (None, release.written)

    def _take(self, name: str) -> None:
        directory = self._index.release(name)
        try:
            embedder = read_state(directory).index.spec.embedder
            if embedder != self._release.state.spec.embedder:
                if name != self._seen:
                    log.warning("index made with another embedder: not followed", embedder=embedder)
                self._seen = name
                if not self._rewritten():
                    return
                directory = self._index.release(self._release.name)
            new = Release(directory)
        except BadDataError as error:
            log.warning("new index release not readable, kept the old one", reason=str(error))
            return
        with self._lock:
            old, self._release, self._seen = self._release, new, name
            old.retired = True
            old.close_if_idle()


def _request(
    dense: Sequence[float] | None,
    text: str | None,
    k: int,
    filter: ChunkFilter | None,
    *,
    vectors: bool,
) -> "QueryRequest | None":
    from qdrant_edge import Fusion, Prefetch, Query, QueryRequest

    arms = []
    if dense is not None:
        arms.append(Query.Nearest(list(dense), using=DENSE))
    if text is not None and (terms := contract.sparse_question(text)).indices:
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
    candidates = contract.candidates(k)
    return QueryRequest(
        limit=limit,
        query=Fusion.Rrf(k=RRF_K),  # type: ignore[arg-type] # a subclass, which the stubs don't say
        prefetches=[Prefetch(limit=candidates, query=arm, filter=condition) for arm in arms],
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


class EmbeddedWriter:
    """Changes a copy and renames it into place."""

    def __init__(
        self, index: EmbeddedIndex, spec: IndexSpec, dimension: int, *, rebuild: bool
    ) -> None:
        self._index = index
        self._work = index.folder / "work"
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
        documents = contract.last_of_each(documents)
        for document in documents:
            contract.check(document, spec, self._release.dimension)
        self.delete([document.id for document in documents])
        points = [point for document in documents for point in _points(document)]
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
                ids = contract.chunk_ids(document_id, state, self._release.index.spec)
                self._open.update(UpdateOperation.delete_points(list(ids)))
                self._release.deleted += state.chunks

    def checkpoint(self) -> None:
        """Seal the work so far as a release of its own, and go on with a copy of it."""
        name = self._seal()
        before = self._index.pointed_to("PARTIAL")
        self._index.point("PARTIAL", name)
        if before is not None:
            shutil.rmtree(self._index.release(before), ignore_errors=True)
        self._shard = self._copy(self._index.release(name))

    def publish(self) -> str:
        """Seal the work, point readers to it, and remove all but the release before it."""
        self._optimise()
        contract.check_release(self.state, self.work, f"release of {self._index.recipe}")
        former = self._index.current()
        name = self._seal()
        if former is not None and self._is_of_another_embedder(former):
            self._index.point("BEFORE", former)
        self._index.point("CURRENT", name)
        self._index.point("PARTIAL", None)
        for old in set(self._index.releases()) - {name, former, self._index.pointed_to("BEFORE")}:
            shutil.rmtree(self._index.release(old), ignore_errors=True)
        return name

    def replace(self, name: str) -> str:
        """Put the work in the place of a kept release; returns its name."""
        self._finish()
        self._index.replace(name)
        return name

    def _is_of_another_embedder(self, name: str) -> bool:
        try:
            state = read_state(self._index.release(name)).index
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
            name = self._index.pointed_to(pointer)
            if name is None:
                continue
            try:
                state = read_state(self._index.release(name))
            except BadDataError as error:
                log.warning("starting over", reason=str(error))
                continue
            if state.index.spec == spec and state.dimension == dimension:
                return self._index.release(name)
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
        return _with_payload_indexes(EdgeShard.create(str(path), config))

    def _copy(self, base: Path) -> "EdgeShard":
        shutil.rmtree(self._work, ignore_errors=True)
        shutil.copytree(base, self._work, copy_function=copy_sparse)
        return _with_payload_indexes(load_shard(self._work))

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
        names = self._index.releases()
        name = f"{int(names[-1]) + 1 if names else 1:06d}"
        self._index.release(name).parent.mkdir(exist_ok=True)
        self._work.rename(self._index.release(name))
        return name


def _with_payload_indexes(shard: "EdgeShard") -> "EdgeShard":
    """The shard with those that it lacks: it may have been made before a field was filtered by."""
    from qdrant_edge import PayloadSchemaType, UpdateOperation

    fields = dict.fromkeys(FILTER_FIELDS, PayloadSchemaType.Keyword)
    fields["published"] = PayloadSchemaType.Datetime
    for name in sorted(fields.keys() - shard.info().payload_schema.keys()):
        shard.update(UpdateOperation.create_field_index(name, fields[name]))
    return shard


class _Work:
    """What a writer has made and not published (see `contract.Unpublished`)."""

    def __init__(self, shard: "EdgeShard") -> None:
        self._shard = shard

    def count(self) -> int:
        from qdrant_edge import CountRequest

        return int(self._shard.count(CountRequest(exact=True)))

    def vectors(self, ids: Sequence[str]) -> dict[str, Sequence[float]]:
        return _vectors(self._shard, ids)

    def get(self, ids: Sequence[str]) -> dict[str, Chunk]:
        return _chunks(self._shard, ids)

    def nearest(self, vector: Sequence[float], k: int) -> list[tuple[str, float]]:
        from qdrant_edge import Query, QueryRequest

        query = Query.Nearest(list(vector), using=DENSE)
        points = self._shard.query(QueryRequest(limit=k, query=query))
        return [(str(point.id), float(point.score)) for point in points]


def _points(document: IndexedDocument) -> list[Any]:
    from qdrant_edge import Point

    return [
        Point(
            id=chunk.id,
            vector={DENSE: list(vector), SPARSE: contract.sparse_passage(chunk)},
            payload=contract.payload_of(chunk),
        )
        for chunk, vector in zip(document.chunks, document.vectors, strict=True)
    ]


def _chunks(shard: "EdgeShard", ids: Sequence[str]) -> dict[str, Chunk]:
    records = shard.retrieve(list(ids), True, False) if ids else []
    return {str(record.id): Chunk.model_validate(record.payload) for record in records}


def _vectors(shard: "EdgeShard", ids: Sequence[str]) -> dict[str, Sequence[float]]:
    records = shard.retrieve(list(ids), False, True) if ids else []
    return {str(record.id): _dense(record.vector) for record in records}


def _dense(vector: Any) -> Sequence[float]:
    return tuple(vector[DENSE])


def copy_sparse(source: str, destination: str) -> str:
    """Copy a file, leaving its holes holes: a shard of 2 MB reserves over 100 MB."""
    with Path(source).open("rb") as reader, Path(destination).open("wb") as writer:
        size = os.fstat(reader.fileno()).st_size
        writer.truncate(size)
        position = 0
        while position < size:
            try:
                start = os.lseek(reader.fileno(), position, os.SEEK_DATA)
            except OSError:  # ENXIO: no data after this position
                break
            position = os.lseek(reader.fileno(), start, os.SEEK_HOLE)
            os.lseek(reader.fileno(), start, os.SEEK_SET)
            os.lseek(writer.fileno(), start, os.SEEK_SET)
            _copy_range(reader.fileno(), writer.fileno(), position - start)
    return destination


def _copy_range(reader: int, writer: int, left: int) -> None:
    while left > 0:
        block = os.read(reader, min(left, 1 << 20))
        os.write(writer, block)
        left -= len(block)
