"""A file as a store lists it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StoredFile:
    """A file as the store lists it.

    Attributes:
        name: relative to the store's root, letter by letter: ``a//b`` is a name of its own.
        version: what the store changes whenever the content does: an ETag, else a time; and size.
    """

    name: str
    path: str
    size: int
    version: str


def stored_file(path: str, entry: dict[str, Any], base: str) -> StoredFile | None:
    """The file that a file system lists at ``path``; none for the mark of an empty folder."""
    name = path.removeprefix(base).removeprefix("/")
    if not name or name.endswith("/"):  # what consoles make for an empty folder
        return None
    state = next((entry[key] for key in ("ETag", "mtime", "created") if entry.get(key)), "")
    size = int(entry["size"] or 0)
    return StoredFile(name, path, size, f"{state} {size}")
