"""Folders of model files on this machine's disk: each filled once, bounded in bytes together.

``root/<key>`` is a complete folder and ``root/.<key>.partial`` one that is being filled or that a
killed process left, from which filling goes on. Whoever uses a folder holds the shared lock of its
lock file until the process ends, so nothing in use is evicted, and a process that is killed holds
nothing any more. The lock file's content is the number of bytes that the folder may take.
"""

import fcntl
import os
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from twin.domain.errors import BadConfigurationError, TryAgainError, disk_is_full

Fill = Callable[[Path], None]

#: Locks of the folders that this process uses, by folder.
_HELD: dict[Path, "_Lock"] = {}


class _Lock:
    """A lock file: shared by those who use the folder, exclusive for whoever fills or evicts it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder.with_name(f".{folder.name}.lock").open("a+", encoding="ascii")

    def share(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def own(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def own_if_free(self) -> bool:
        with suppress(BlockingIOError):
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    def write(self, reserved: int) -> None:
        self._file.truncate(0)
        self._file.write(str(reserved))
        self._file.flush()

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class _Entry:
    key: str
    path: Path
    used: float
    size: int


class NodeCache:
    """A folder of folders that are used whole, such as the weights of a model.

    Args:
        root: made when needed. Processes and pods of one machine share it.
        max_bytes: what all folders may take together. Least recently used ones are evicted first,
            never one that a process uses.
    """

    def __init__(self, root: Path, max_bytes: int) -> None:
        self.root = root
        self.max_bytes = max_bytes

    def folder(self, key: str, size: int, fill: Fill) -> Path:
        """The folder of this key, filled first unless it is there; in use until the process ends.

        Of several processes that ask at the same time one fills, the others wait for it.

        Args:
            key: names the content, so that one name never means two contents.
            size: bytes that the folder will take, at most.
            fill: writes into the folder that it is given. That holds what an earlier attempt
                wrote before it was killed.

        Raises:
            BadConfigurationError: the folder alone is larger than the cache may be.
            TryAgainError: what is in use leaves no room, or the disk is full.
        """
        folder = self.root / key
        if folder in _HELD and folder.is_dir():
            os.utime(folder)
            return folder
        self.root.mkdir(parents=True, exist_ok=True)
        lock = _Lock(folder)
        try:
            while not self._shared(lock, folder):
                lock.own()
                if not folder.is_dir():
                    self._fill(lock, folder, size, fill)
        except BaseException:
            lock.close()
            raise
        _HELD[folder] = lock
        return folder

    def discard(self, key: str) -> None:
        """Delete a folder whose content turned out to be wrong, whoever uses it."""
        folder = self.root / key
        if (lock := _HELD.pop(folder, None)) is not None:
            lock.close()
        _remove(folder)

    def _shared(self, lock: _Lock, folder: Path) -> bool:
        """Take the folder for use; false if it is not there (any more)."""
        lock.share()
        if not folder.is_dir():
            return False
        os.utime(folder)  # when it was used last
        return True

    def _fill(self, lock: _Lock, folder: Path, size: int, fill: Fill) -> None:
        partial = folder.with_name(f".{folder.name}.partial")
        room = _Lock(self.root / "room")
        try:
            room.own()  # two that make room at a time would both count on the same bytes
            self._make_room(folder.name, size)
            lock.write(size)
            partial.mkdir(exist_ok=True)
        finally:
            room.close()
        _check_disk(partial, size)
        try:
            fill(partial)
        except Exception as error:
            if disk_is_full(error):
                raise _disk_is_full(partial, size) from None
            raise
        partial.rename(folder)

    def _make_room(self, key: str, size: int) -> None:
        if size > self.max_bytes:
            raise BadConfigurationError(
                f"{key} takes {size:,} bytes and the cache {self.root} may hold "
                f"{self.max_bytes:,}: raise TWIN_MODEL_CACHE_BYTES (a pod: and its volume)"
            )
        others = [entry for entry in self._entries() if entry.key != key]
        total = sum(entry.size for entry in others) + size
        for entry in sorted(others, key=lambda entry: entry.used):
            if total <= self.max_bytes:
                return
            if self._evict(entry):
                total -= entry.size
        if total > self.max_bytes:
            raise TryAgainError(
                f"no room for {key} ({size:,} bytes) in the cache {self.root}: it may hold "
                f"{self.max_bytes:,} bytes, {total - size:,} are in use: raise "
                "TWIN_MODEL_CACHE_BYTES, or try again when a model has gone"
            )

    def _entries(self) -> list[_Entry]:
        entries = []
        for path in self.root.iterdir():
            with suppress(FileNotFoundError):  # evicted meanwhile
                if path.is_dir() and not path.name.startswith(".evicted-"):
                    entries.append(self._entry(path))
        return entries

    def _entry(self, path: Path) -> _Entry:
        key = path.name.removeprefix(".").removesuffix(".partial")
        size = _bytes_in(path)
        if path.name.startswith("."):  # what it may still grow to
            with suppress(OSError, ValueError):
                size = max(size, int((self.root / f".{key}.lock").read_text("ascii")))
        return _Entry(key, path, path.stat().st_mtime, size)

    def _evict(self, entry: _Entry) -> bool:
        lock = _Lock(self.root / entry.key)
        try:
            if not lock.own_if_free():
                return False
            _remove(entry.path)
            return True
        finally:
            lock.close()


def _remove(folder: Path) -> None:
    """Delete a folder; under another name first, so that half of one is never used."""
    gone = folder.with_name(f".evicted-{uuid.uuid4().hex[:8]}")
    with suppress(FileNotFoundError):
        folder.rename(gone)
    for left in folder.parent.glob(".evicted-*"):
        shutil.rmtree(left, ignore_errors=True)


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _check_disk(partial: Path, size: int) -> None:
    if shutil.disk_usage(partial).free < size - _bytes_in(partial):
        raise _disk_is_full(partial, size)


def _disk_is_full(partial: Path, size: int) -> TryAgainError:
    free = shutil.disk_usage(partial).free
    return TryAgainError(
        f"no space left for {partial}: {size:,} bytes are needed, {free:,} are free; make some, or "
        "name larger folders with TWIN_HOME and TWIN_MODELS (a pod: larger volumes in its profile)"
    )
