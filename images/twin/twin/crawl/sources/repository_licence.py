"""The licence of a repository, by the files that hold its text."""

import re
import tempfile
from pathlib import Path

from twin.crawl.sources.git_clone import Clone

_LICENCE_FILE = re.compile(r"(?:un)?licen[cs]e(?:[-_.].*)?|copying(?:[-_.].*)?", re.IGNORECASE)
#: Longest licence text that is looked at; the GPL has 35 kB.
MAX_LICENCE_BYTES = 100_000


def licence_of(clone: Clone) -> str | None:
    """SPDX name of the licence in a clone's top folder.

    None if there is no licence file, if a text is none of the well-known ones, or if there are
    several: which of them is meant, and for what, only a person can tell.

    Raises:
        GitError: the clone cannot be read.
    """
    files = [file for file in clone.files() if _LICENCE_FILE.fullmatch(file.path)]
    contents = clone.contents(files, MAX_LICENCE_BYTES)
    found = {_name_of(content) for _, content in contents}
    return found.pop() if len(found) == 1 else None


def _name_of(content: bytes | int) -> str | None:
    """SPDX name of a licence's text; the library reads files only."""
    from identify.identify import license_id

    if isinstance(content, int):
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "LICENCE"
        path.write_bytes(content)
        try:
            return license_id(str(path))
        except UnicodeDecodeError:
            return None
