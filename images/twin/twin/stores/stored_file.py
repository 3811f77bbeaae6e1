"""A file as a store lists it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class StoredFile:
    """A file as the store lists it.

    Attributes:
        name: relative to the store's root, letter by letter: ``a//b`` is a name of its own.
        version: what the store changes whenever the content does: an ETag, else a time; and size.
        changed: when it was written; None where the store does not say.
    """

    name: str
    path: str
    size: int
    version: str
    changed: datetime | None = None


def stored_file(path: str, entry: dict[str, Any], base: str) -> StoredFile | None:
    """The file that a file system lists at ``path``; none for the mark of an empty folder."""
    name = path.removeprefix(base).removeprefix("/")
    if not name or name.endswith("/"):  # what consoles make for an empty folder
        return None
    state = next((entry[key] for key in ("ETag", "mtime", "created") if entry.get(key)), "")
    size = int(entry["size"] or 0)
    return StoredFile(name, path, size, f"{state} {size}", _moment(entry))


def _moment(entry: dict[str, Any]) -> datetime | None:
    """When a file was written: seconds of a folder's files, S3's own word of a bucket's."""
    told = next(
        (entry[key] for key in ("mtime", "LastModified", "created") if entry.get(key)), None
    )
    if isinstance(told, int | float):
        return datetime.fromtimestamp(told, UTC)
    return told if isinstance(told, datetime) else None
