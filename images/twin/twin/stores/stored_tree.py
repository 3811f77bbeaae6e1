"""The folders of a store by one listing: what lies in them, how large they are and how old."""

from collections.abc import Iterable
from datetime import UTC, datetime

from twin.stores.files import MARKER
from twin.stores.stored_file import StoredFile

#: Of what the store does not say when it was written: it counts as written just now.
_UNKNOWN = datetime.max.replace(tzinfo=UTC)


class StoredTree:
    """What a store held at one moment.

    Args:
        files: all that it lists.
    """

    def __init__(self, files: Iterable[StoredFile]) -> None:
        self._names: dict[str, set[str]] = {}
        self._bytes: dict[str, int] = {}
        self._changed: dict[str, datetime] = {}
        for file in files:
            self._add(file)

    def _add(self, file: StoredFile) -> None:
        path = ""
        for part in file.name.split("/"):
            self._names.setdefault(path, set()).add(part)
            path = f"{path}/{part}" if path else part
            self._bytes[path] = self._bytes.get(path, 0) + file.size
            changed = file.changed or _UNKNOWN
            self._changed[path] = max(self._changed.get(path, changed), changed)

    def __contains__(self, path: object) -> bool:
        """Whether there is a file or folder of this name."""
        return path in self._bytes

    def names(self, folder: str) -> list[str]:
        """Sorted names directly under a folder; those that begin with a dot are left out."""
        return sorted(name for name in self._names.get(folder, ()) if not name.startswith("."))

    def size(self, path: str) -> int:
        """Bytes of a file, or of all in a folder."""
        return self._bytes.get(path, 0)

    def changed(self, path: str) -> datetime:
        """When the file, or the newest in the folder, was written; where unknown, in the future."""
        return self._changed.get(path, _UNKNOWN)

    def is_published(self, folder: str) -> bool:
        """Whether the folder is complete."""
        return f"{folder}/{MARKER}" in self
