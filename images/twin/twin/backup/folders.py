"""Folders of backups in the file store: which there are, the newest, whole ones, old ones."""

import uuid
from datetime import datetime

from twin.domain.errors import BadDataError
from twin.stores.streamed_files import PACKED, PackedFile, StreamedFiles

MANIFEST = "manifest.json"
#: Names sort by age.
MOMENT = "%Y%m%dT%H%M%SZ"


def new_name(now: datetime) -> str:
    """Name of a backup that is made now; two within a second have different ones."""
    return f"{now.strftime(MOMENT)}-{uuid.uuid4().hex[:8]}"


class BackupFolders:
    """The backups of one thing, each a published folder.

    Args:
        files: the file store.
        root: relative name of the folder that they lie in.
        what: whose they are, for errors.
        made_by: the command that makes one.
    """

    def __init__(self, files: StreamedFiles, root: str, what: str, made_by: str) -> None:
        self._files = files
        self._root = root
        self._what = what
        self._made_by = made_by

    def names(self) -> list[str]:
        """Names of the complete ones, oldest first."""
        return [name for name in self._files.names(self._root) if self._is_complete(name)]

    def newest(self) -> str | None:
        """Name of the newest complete one."""
        names = self.names()
        return names[-1] if names else None

    def choose(self, name: str | None) -> str:
        """The one of this name, or else the newest.

        Raises:
            BadDataError: there is none.
        """
        names = self.names()
        if name in names:
            return name
        if name is None and names:
            return names[-1]
        known = ", ".join(names) or f"none yet: run `{self._made_by}`"
        wanted = f" {name!r}" if name else ""
        where = self._files.uri(self._root)
        raise BadDataError(f"{self._what} has no backup{wanted} in {where}: there are {known}")

    def folder(self, name: str) -> str:
        """Relative name in the file store."""
        return f"{self._root}/{name}"

    def uri(self, name: str) -> str:
        """Address in the file store."""
        return self._files.uri(self.folder(name))

    def file(self, name: str, file: str) -> PackedFile:
        """A file of a backup, by its name before it was packed."""
        return self._files.packed(f"{self.folder(name)}/{file}{PACKED}")

    def check(self, name: str) -> None:
        """Read a backup whole.

        Raises:
            BadDataError: a byte is not what was published.
        """
        try:
            self._files.check_published(self.folder(name))
        except BadDataError as error:
            raise BadDataError(f"{error}: restore an older one with --name") from None

    def prune(self, keep: int) -> list[str]:
        """Delete all but the newest, and what a killed backup left; returns what was deleted."""
        complete = self.names()
        kept = set(complete[-keep:])
        newest = complete[-1] if complete else ""
        # An incomplete one that is younger than the newest may still be being written.
        old = [
            name
            for name in self._files.names(self._root)
            if name not in kept and (name in complete or name < newest)
        ]
        for name in old:
            self._files.remove(self.folder(name))
        return old

    def _is_complete(self, name: str) -> bool:
        return self._files.is_published(self.folder(name))
