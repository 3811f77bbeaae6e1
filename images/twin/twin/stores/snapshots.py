"""Raw pages as they were fetched, in WARC files (ISO 28500) of the file store.

``<author>/<source>/<moment>-<run>-<number>.warc.gz``, a gzip member a record, beside an index
``….index.jsonl`` that is written last and made afresh from its file where it is missing. Of a page
that has not changed there is a *revisit* record, which names the one with the body.

A file grows in a folder of this machine and goes to the store when it is full or the crawl ends.
After a kill its whole records are still there: see `whole_members` and `publish`.
"""

import io
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from twin.domain.errors import BadDataError
from twin.settings import Settings
from twin.stores.files import FileStore
from twin.stores.warc import (
    Capture,
    Entry,
    capture_of,
    entry_of_line,
    read_index,
    records_of,
    whole_members,
)

SUFFIX = ".warc.gz"
INDEX_SUFFIX = ".index.jsonl"
MAX_FILE_BYTES = 64_000_000


class Snapshots:
    """The raw snapshots of one author, see the module.

    Args:
        cache: folder for copies of files that are not on this machine.
    """

    def __init__(self, files: FileStore, author_id: str, cache: Path) -> None:
        self._files = files
        self._author = author_id
        self._cache = cache

    def sources(self) -> list[str]:
        """Names of the sources that have snapshots."""
        return self._files.names(self._author)

    def names(self, source: str) -> list[str]:
        """Its files, oldest first."""
        found = self._files.names(f"{self._author}/{source}")
        return [name for name in found if name.endswith(SUFFIX) and not name.startswith(".")]

    def publish(
        self,
        source: str,
        local: Path,
        index: Iterable[bytes] | None = None,
        size: int | None = None,
    ) -> str | None:
        """Put a file that is no longer written into the store, and delete it here.

        A tail that a kill has torn is cut off; a file without any record is only deleted.

        Args:
            index: of the file; made by reading it if not given.
            size: of its whole records, as far as who wrote it knows; found by reading it else.

        Returns:
            Its name there; None if nothing was in it.
        """
        whole = size if size == local.stat().st_size else whole_members(local)
        if whole < local.stat().st_size:
            with local.open("r+b") as file:
                file.truncate(whole)
            index = None
        name = f"{self._author}/{source}/{local.name}"
        listed = self._cache / f"{local.name}{INDEX_SUFFIX}"
        with local.open("rb") as records, listed.open("wb") as lines:
            if index is None:
                index = (entry.line().encode() for entry in read_index(records, local.name))
            lines.writelines(index)
        has_any = listed.stat().st_size > 0
        if has_any:
            self._files.put(local, name)
            self._files.put(listed, _index_name(name))
        listed.unlink()
        local.unlink()
        return local.name if has_any else None

    def entries(self, source: str, names: Iterable[str] | None = None) -> Iterator[Entry]:
        """What is in the files of a source, oldest first."""
        for name in self.names(source) if names is None else names:
            yield from self._index(source, name)

    def _index(self, source: str, name: str) -> list[Entry]:
        path = f"{self._author}/{source}/{name}"
        if self._files.exists(_index_name(path)):
            lines = self._files.read_text(_index_name(path)).splitlines()
            return [entry_of_line(line, name) for line in lines]
        with self._files.fetch(path, self._cache).open("rb") as file:
            entries = list(read_index(file, name))
        self._files.write_text(_index_name(path), "".join(entry.line() for entry in entries))
        return entries

    def latest(self, url: str) -> Capture | None:
        """The newest body of a URL, whichever source it is from."""
        newest: tuple[datetime, str, Entry] | None = None
        for source in self.sources():
            for entry in self.entries(source):
                is_body = entry.url == url and entry.type in {"response", "resource"}
                if is_body and (newest is None or entry.at > newest[0]):
                    newest = (entry.at, source, entry)
        return self.read(newest[1], newest[2]) if newest else None

    def read(self, source: str, entry: Entry) -> Capture:
        """The record of an entry; the body of a revisit is empty.

        Raises:
            BadDataError: the file is damaged there.
        """
        from warcio.archiveiterator import ArchiveIterator

        path = self._files.fetch(f"{self._author}/{source}/{entry.file}", self._cache)
        with path.open("rb") as file:
            file.seek(entry.offset)
            try:
                record = next(ArchiveIterator(io.BytesIO(file.read(entry.length))))
                body = b"" if entry.type == "revisit" else record.content_stream().read()
            except Exception as error:  # whatever a damaged file makes warcio and zlib raise
                raise BadDataError(
                    f"snapshot {self._files.uri(self._author)}/{source}/{entry.file}, byte "
                    f"{entry.offset}: damaged ({type(error).__name__})"
                ) from None
        return capture_of(record, entry, body)

    def forget(self, urls: Iterable[str]) -> int:
        """Rewrite every file that has one of these URLs, without its records.

        A kill in between leaves each file either as it was or without them: run it again. Files
        that a crawl is still writing are not seen; run it when none does.

        Returns:
            How many records are gone.
        """
        unwanted = set(urls)
        count = 0
        for source in self.sources():
            for name in self.names(source):
                if any(entry.url in unwanted for entry in self._index(source, name)):
                    count += self._rewrite(source, name, lambda url, _: url not in unwanted)
        return count

    def trim(self, source: str, crawls: int) -> int:
        """Drop what only crawls before the newest ``crawls`` of a source have to say.

        Of each URL the newest record stays, whichever crawl it is of, and the body that it or any
        other record that stays refers to; and every note of what was found gone. So a replay ends
        with the same documents and tombstones, with fewer of their older texts.

        A kill in between leaves files that a replay can read, too, and the next call goes on.

        Returns:
            How many pages' records are gone.
        """
        names = self.names(source)
        old = names[: _first_of_newest(names, crawls)]
        if not old:
            return 0
        entries = list(self.entries(source, names))
        kept = _needed(entries, set(old))
        count = 0
        # The newest first: what refers to a body goes before the body.
        for name in reversed(old):
            mine = [entry for entry in entries if entry.file == name]
            dropped = [entry for entry in mine if (entry.url, entry.at) not in kept]
            if len(dropped) == len(mine):
                self._remove(source, name)
            elif dropped:
                self._rewrite(source, name, lambda url, at: (url, at) in kept)
            count += sum(entry.is_page for entry in dropped)
        return count

    def _remove(self, source: str, name: str) -> None:
        path = f"{self._author}/{source}/{name}"
        self._files.remove(path)
        self._files.remove(_index_name(path))

    def _rewrite(self, source: str, name: str, keeps: Callable[[str, datetime], bool]) -> int:
        """Leave out records, by their URL and time, with the requests for them."""
        path = f"{self._author}/{source}/{name}"
        local = self._cache / f"{name}.rewritten"
        count = 0
        with self._files.fetch(path, self._cache).open("rb") as old, local.open("wb") as new:
            spans = []
            for record, offset, length in records_of(old, name):
                header = record.rec_headers.get_header
                at = datetime.fromisoformat(header("WARC-Date"))
                if record.rec_type == "warcinfo" or keeps(header("WARC-Target-URI"), at):
                    spans.append((offset, length))
                else:
                    count += 1
            for offset, length in spans:
                old.seek(offset)
                new.write(old.read(length))
        # Without an index the file is read; with an old one its offsets would be wrong.
        self._files.remove(_index_name(path))
        self._files.put(local, path)
        local.unlink()
        (self._cache / path.replace("/", "_")).unlink(missing_ok=True)
        self._index(source, name)
        return count


def crawl_of(name: str) -> str:
    """The crawl that wrote a file, by the file's name: one that was killed has several."""
    return name.removesuffix(SUFFIX).split("-", 1)[1].rpartition("-")[0]


def _first_of_newest(names: Sequence[str], crawls: int) -> int:
    """Position of the first file of the newest crawls, of files that are ordered by time."""
    newest: set[str] = set()
    for position in range(len(names), 0, -1):
        newest.add(crawl_of(names[position - 1]))
        if len(newest) > crawls:
            return position
    return 0


def _needed(entries: Sequence[Entry], old: Set[str]) -> set[tuple[str, datetime]]:
    """URL and time of the records that stay, see `Snapshots.trim`.

    Args:
        old: files whose records stay only if they are needed.
    """
    newest = {entry.url: entry for entry in entries if entry.is_page}
    notes = (entry for entry in entries if not entry.is_page)
    stay = [*newest.values(), *notes, *(entry for entry in entries if entry.file not in old)]
    kept = {(entry.url, entry.at) for entry in stay}
    return kept | {(entry.url, entry.refers_to) for entry in stay if entry.refers_to is not None}


def _index_name(path: str) -> str:
    return path.removesuffix(SUFFIX) + INDEX_SUFFIX


@contextmanager
def open_snapshots(settings: Settings, author_id: str) -> Iterator[Snapshots]:
    """The snapshots of an author at the address of these settings, for a ``with`` block."""
    settings.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.home, prefix=".snapshots-") as cache:
        yield Snapshots(FileStore(settings.snapshots_root), author_id, Path(cache))
