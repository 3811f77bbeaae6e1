"""Releases of the embedded index on disk, and the pointers to them.

::

    <folder>/CURRENT                 name of the release that is searched
    <folder>/BEFORE                  name of the last release of the embedder before, if any
    <folder>/PARTIAL                 name of a checkpoint that a killed writer left, if any
    <folder>/releases/000007/shard   a finished shard, never changed again
    <folder>/releases/000007/state.json
    <folder>/work                    what the one writer (`write_alone`) is changing

A shard with a write-ahead log locks its directory, so releases are made without one: any number
of processes may load a finished directory. The price is that only ``flush`` makes work durable,
which is why a writer works on a copy and renames it when it is flushed and closed.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from twin.domain.chunk import Chunk
from twin.domain.errors import BadDataError, TryAgainError
from twin.stores.embedded.points import dense_vector
from twin.stores.index import IndexedDocument, IndexState
from twin.stores.index_release import chunk_ids

if TYPE_CHECKING:
    from qdrant_edge import EdgeShard


class ReleaseState(BaseModel):
    """``state.json`` of a release."""

    index: IndexState
    dimension: int
    deleted: int = 0


class ReleaseFolder:
    """The releases of one recipe, in a folder of its own."""

    def __init__(self, folder: Path, recipe: str) -> None:
        self.folder = folder
        self.recipe = recipe

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

    def kept(self) -> dict[str, IndexState]:
        """The releases beside the published one, checkpoints too; not those that are damaged."""
        current = self.current()
        found = {}
        for name in self.releases():
            with suppress(BadDataError):
                if name != current:
                    found[name] = read_state(self.release(name)).index
        return found

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


class Release:
    """A loaded release; closed when it is retired and its last search is done."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
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

    def documents(self) -> Iterator[IndexedDocument]:
        """All documents whole, in order of id."""
        for document_id, state in sorted(self.state.documents.items()):
            ids = chunk_ids(document_id, state, self.state.spec)
            records = self.shard.retrieve(list(ids), True, True) if ids else []
            found = {str(record.id): record for record in records}
            if missing := set(ids) - set(found):
                raise damaged(
                    self.directory,
                    KeyError(f"{len(missing)} chunks of document {document_id} are missing"),
                )
            chunks = [Chunk.model_validate(found[id_].payload) for id_ in ids]
            vectors = [dense_vector(found[id_].vector) for id_ in ids]
            yield IndexedDocument.of(document_id, state, chunks, vectors)


def read_state(release: Path) -> ReleaseState:
    """``state.json`` of a release.

    Raises:
        BadDataError: it is gone or damaged.
    """
    try:
        text = (release / "state.json").read_text(encoding="utf-8")
        return ReleaseState.model_validate_json(text)
    except (OSError, ValueError) as error:
        raise damaged(release, error) from None


def load_shard(directory: Path) -> "EdgeShard":
    """Open the shard of a release or of the work directory.

    Raises:
        BadDataError: it is gone or damaged.
    """
    from qdrant_edge import EdgeShard

    try:
        return EdgeShard.load(str(directory / "shard"))
    except Exception as error:  # the engine raises nothing more specific
        raise damaged(directory, error) from None


def damaged(release: Path, error: Exception) -> BadDataError:
    """What to raise of a release that can't be read."""
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
