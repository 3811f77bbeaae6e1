"""The embedded index: Qdrant's own engine in-process, over release directories.

`twin.stores.embedded.releases` says what lies where.
"""

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import islice

from twin.stores.embedded.reader import EmbeddedReader
from twin.stores.embedded.releases import (
    Release,
    ReleaseFolder,
    copy_sparse,
    load_shard,
    read_state,
)
from twin.stores.embedded.writer import EmbeddedWriter
from twin.stores.index import IndexSpec, IndexState
from twin.stores.index_release import chunk_ids

DOCUMENTS_PER_COPY = 64


class EmbeddedIndex(ReleaseFolder):
    """The index of one recipe in a folder of its own."""

    def state(self) -> IndexState | None:
        """What is published, or None."""
        name = self.current()
        return None if name is None else read_state(self.release(name)).index

    def read(self, embedder: str | None = None) -> EmbeddedReader:
        """A reader that follows what is published (see `Index.read`)."""
        return EmbeddedReader(self, embedder)

    @contextmanager
    def write(
        self, spec: IndexSpec, dimension: int, *, rebuild: bool = False
    ) -> Iterator[EmbeddedWriter]:
        """The one writer, on a copy of the checkpoint or release of the same spec."""
        with self.write_alone():
            writer = EmbeddedWriter(self, spec, dimension, rebuild=rebuild)
            try:
                yield writer
            finally:
                writer.close()

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
                kept = (item for item in release.documents() if item.id not in ids)
                while batch := list(islice(kept, DOCUMENTS_PER_COPY)):
                    writer.upsert(batch)
                return writer.replace(name) if in_place else writer.publish()
        finally:
            release.shard.close()

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
                ids = chunk_ids(id_, gone, state.index.spec)
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
