"""Archives of files, packed or unpacked, read within limits and never unpacked to disk."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol

from twin.recipes.places import BESIDE_RECIPE

MAX_ENTRIES = 200_000
# Text packs to a tenth, a bomb to a thousandth.
_MAX_RATIO = 200
_SUSPICIOUS_BYTES = 10_000_000


class ArchiveError(Exception):
    """An archive or one of its files that cannot be used; the text says why."""


class Archive(Protocol):
    """Files by relative name."""

    @property
    def names(self) -> list[str]:
        """Relative names of all files, with slashes, in order."""
        ...

    def read(self, name: str, max_bytes: int) -> bytes:
        """Content of a file.

        Raises:
            ArchiveError: it is larger, cannot be read, or leads out of the archive.
        """
        ...


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """A ZIP file, or the folder that it was unpacked to.

    Raises:
        ArchiveError: neither, or with names that lead out of it.
    """
    if path.is_dir():
        yield _Folder(path)
        return
    if not path.exists():
        raise ArchiveError(f"no file or folder {path} {BESIDE_RECIPE}")
    try:
        packed = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise ArchiveError(f"{path} is no ZIP archive: {error}") from None
    with packed:
        yield _Zip(path, packed)


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def names(self) -> list[str]:
        files = sorted(path for path in self._root.rglob("*") if path.is_file())
        return [path.relative_to(self._root).as_posix() for path in files]

    def read(self, name: str, max_bytes: int) -> bytes:
        path = self._root / name
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise ArchiveError(f"{name} is a link out of the folder")
        try:
            with path.open("rb") as file:
                return _within(file.read(max_bytes + 1), name, max_bytes)
        except OSError as error:
            raise ArchiveError(f"{name} cannot be read: {error.strerror}") from None


class _Zip:
    def __init__(self, path: Path, packed: zipfile.ZipFile) -> None:
        entries = packed.infolist()
        if len(entries) > MAX_ENTRIES:
            raise ArchiveError(f"{path} has {len(entries):,} entries, more than {MAX_ENTRIES:,}")
        for entry in entries:
            if not is_safe(entry.filename):
                raise ArchiveError(
                    f"{path} names {entry.filename!r}, which leads out of it: nothing of such an "
                    "archive is read"
                )
        self._packed = packed
        self._entries = {entry.filename: entry for entry in entries if not entry.is_dir()}

    @property
    def names(self) -> list[str]:
        return sorted(self._entries)

    def read(self, name: str, max_bytes: int) -> bytes:
        entry = self._entries[name]
        if entry.flag_bits & 1:
            raise ArchiveError(f"{name} is encrypted")
        packed = max(entry.compress_size, 1)
        if entry.file_size > _SUSPICIOUS_BYTES and entry.file_size / packed > _MAX_RATIO:
            raise ArchiveError(f"{name} unpacks to {entry.file_size / packed:,.0f} times its size")
        try:
            with self._packed.open(entry) as file:
                return _within(file.read(max_bytes + 1), name, max_bytes)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, OSError, EOFError) as error:
            raise ArchiveError(f"{name} cannot be unpacked: {error}") from None


def _within(body: bytes, name: str, max_bytes: int) -> bytes:
    if len(body) > max_bytes:
        raise ArchiveError(f"{name} has more than {max_bytes:,} bytes")
    return body


def is_safe(name: str) -> bool:
    """Whether a name stays where it is unpacked."""
    path = PurePosixPath(name.replace("\\", "/"))
    return not (path.is_absolute() or ".." in path.parts or ":" in name.partition("/")[0])
