"""Raw pages as they were fetched, in WARC files (ISO 28500) of the file store.

``<author>/<source>/<moment>-<run>-<number>.warc.gz``, a gzip member a record, beside an index
``….index.jsonl`` that is written last and made afresh from its file where it is missing. Of a page
that has not changed there is a *revisit* record, which names the one with the body.

A file grows in a folder of this machine and goes to the store when it is full or the crawl ends.
After a kill its whole records are still there: see `whole_members` and `publish`.
"""

import gzip
import io
import json
import os
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit, urlunsplit

from twin.domain.errors import BadDataError
from twin.settings import Settings
from twin.stores.files import FileStore

SUFFIX = ".warc.gz"
INDEX_SUFFIX = ".index.jsonl"
MAX_FILE_BYTES = 64_000_000
SOFTWARE = "llm-twin"
#: What the reader of a page was told besides its bytes, as JSON.
FACTS = "X-Twin-Page"
CRAWL_SCHEME = "urn:twin:crawl:"
BLOCK = 1 << 20
PIECE = 1 << 16
# warcio's own is 9, which takes longer and saves hardly a byte.
COMPRESSION = 6
FASTEST = 1

#: Headers that say who we are or whom a server takes us for: they are nobody's business later.
PRIVATE_HEADERS = frozenset(
    {"authorization", "cookie", "proxy-authorization", "set-cookie", "set-cookie2"}
)
#: Headers about how a body travelled; it is stored unpacked and whole.
TRANSPORT_HEADERS = frozenset({"content-encoding", "transfer-encoding", "content-length"})

# Every character that a URL may have as it is, and its escapes (RFC 3986).
_URL_SAFE = "%/?#[]@!$&'()*+,;=:~"

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Capture:
    """A page as it was fetched, or a crawl's closing note (then ``url`` is no address).

    Attributes:
        facts: JSON values that belong to it.
        status: of the answer; None for what did not come over HTTP.
        unchanged_since: when the same body was captured; then ``body`` need not be stored.
    """

    url: str
    fetched: datetime
    body: bytes = field(repr=False)
    media_type: str = "application/octet-stream"
    facts: Mapping[str, Any] = field(default_factory=dict)
    status: int | None = None
    request_headers: Headers = ()
    response_headers: Headers = ()
    unchanged_since: datetime | None = None


@dataclass(frozen=True)
class Entry:
    """A line of an index: where a record is and what it is."""

    url: str
    at: datetime
    type: str
    offset: int
    length: int
    digest: str = ""
    refers_to: datetime | None = None
    file: str = ""

    @property
    def is_page(self) -> bool:
        """Whether it is a page, and no request, header of a file or note of a crawl."""
        return self.type in {"response", "resource", "revisit"}

    def line(self) -> str:
        """As an index has it; the file's name is that of the index."""
        data = {
            "url": self.url, "at": moment(self.at), "type": self.type, "offset": self.offset,
            "length": self.length, "digest": self.digest,
            "refers_to": self.refers_to and moment(self.refers_to),
        }  # fmt: skip
        return json.dumps(data, ensure_ascii=False) + "\n"


def moment(when: datetime) -> str:
    """A time as WARC 1.1 writes it, to the millisecond."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class SnapshotFile:
    """A WARC file that grows on this machine; every record is appended whole by one write."""

    def __init__(self, path: Path, crawl: str) -> None:
        from warcio.warcwriter import WARCWriter

        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("xb", buffering=0)
        self._buffer = io.BytesIO()
        self._writer = WARCWriter(self._buffer, gzip=False, warc_version="1.1")
        # Packed: a file has tens of thousands, which are read once, at its end.
        self._packer = zlib.compressobj(FASTEST)
        self._packed = bytearray()
        self.size = 0
        info = {"software": SOFTWARE, "format": "WARC File Format 1.1", "isPartOf": crawl}
        self._append(self._writer.create_warcinfo_record(path.name, info), None)

    @property
    def index(self) -> Iterator[bytes]:
        """Index of what is in it, in pieces: it may be as large as some hundred pages."""
        packed = bytes(self._packed) + self._packer.copy().flush()
        unpacker = zlib.decompressobj()
        while piece := unpacker.decompress(packed, PIECE):
            yield piece
            packed = unpacker.unconsumed_tail

    def add(self, capture: Capture) -> None:
        """Append a page (and the request for it), a page's being unchanged, or a crawl's note."""
        record = self._record(capture)
        self._append(record, capture)
        if capture.request_headers and capture.unchanged_since is None:
            lines = [(name, value) for name, value in capture.request_headers if _is_public(name)]
            head = _request_head(capture.url, lines)
            request = self._writer.create_warc_record(
                capture.url, "request", http_headers=head,
                warc_headers_dict={
                    "WARC-Date": moment(capture.fetched),
                    "WARC-Concurrent-To": record.rec_headers.get_header("WARC-Record-ID"),
                },
            )  # fmt: skip
            self._append(request, capture)

    def close(self) -> None:
        """End the file: what was written is on disk."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()

    def _record(self, capture: Capture) -> Any:
        headers = {"WARC-Date": moment(capture.fetched)}
        if capture.facts:
            headers[FACTS] = json.dumps(capture.facts)
        if capture.url.startswith(CRAWL_SCHEME):
            return self._writer.create_warc_record(
                capture.url, "metadata", payload=io.BytesIO(capture.body), length=len(capture.body),
                warc_content_type=capture.media_type, warc_headers_dict=headers,
            )  # fmt: skip
        head = None
        if capture.status is not None:
            head = _http_head(f"{capture.status}", _stored_headers(capture))
        if capture.unchanged_since is not None:
            return self._revisit(capture, headers, head)
        return self._writer.create_warc_record(
            capture.url, "response" if head else "resource", payload=io.BytesIO(capture.body),
            length=len(capture.body), warc_content_type="" if head else capture.media_type,
            http_headers=head, warc_headers_dict=headers,
        )  # fmt: skip

    def _revisit(self, capture: Capture, headers: dict[str, str], head: Any) -> Any:
        assert capture.unchanged_since is not None  # noqa: S101 - for the type checker
        record = self._writer.create_revisit_record(
            capture.url, digest=_digest(capture.body) if capture.body else "sha1:-",
            refers_to_uri=capture.url, refers_to_date=moment(capture.unchanged_since),
            http_headers=head, warc_headers_dict=headers,
        )  # fmt: skip
        if not capture.body:  # a 304: there was none to take a digest of
            record.rec_headers.remove_header("WARC-Payload-Digest")
            profile = "http://netpreserve.org/warc/1.1/revisit/server-not-modified"
        else:
            profile = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
        record.rec_headers.replace_header("WARC-Profile", profile)
        return record

    def _append(self, record: Any, capture: Capture | None) -> None:
        self._buffer.seek(0)
        self._buffer.truncate()
        self._writer.write_record(record)
        data = gzip.compress(self._buffer.getvalue(), COMPRESSION, mtime=0)
        written = self._file.write(data)
        while written < len(data):
            written += self._file.write(data[written:])
        if capture is not None and record.rec_type != "request":
            line = _entry(record, self.size, len(data)).line()
            self._packed += self._packer.compress(line.encode())
        self.size += len(data)


def _is_public(name: str) -> bool:
    return name.lower() not in PRIVATE_HEADERS


def _stored_headers(capture: Capture) -> list[tuple[str, str]]:
    dropped = PRIVATE_HEADERS | TRANSPORT_HEADERS
    kept = [
        (name, value) for name, value in capture.response_headers if name.lower() not in dropped
    ]
    if capture.unchanged_since is None:
        kept.append(("Content-Length", str(len(capture.body))))
    return kept


def _http_head(status: str, headers: list[tuple[str, str]]) -> Any:
    from warcio.statusandheaders import StatusAndHeaders

    return StatusAndHeaders(status, headers, protocol="HTTP/1.1")


def _request_head(url: str, headers: list[tuple[str, str]]) -> Any:
    from warcio.statusandheaders import StatusAndHeaders

    parts = urlsplit(url)
    target = quote(urlunsplit(("", "", parts.path or "/", parts.query, "")), safe=_URL_SAFE)
    return StatusAndHeaders(
        f"GET {target} HTTP/1.1", [("Host", parts.netloc), *headers], is_http_request=True
    )


def _digest(body: bytes) -> str:
    from warcio.utils import Digester

    digester = Digester("sha1")
    digester.update(body)
    return str(digester)


def _entry(record: Any, offset: int, length: int, file: str = "") -> Entry:
    header = record.rec_headers.get_header
    refers_to = header("WARC-Refers-To-Date")
    return Entry(
        url=header("WARC-Target-URI") or "",
        at=datetime.fromisoformat(header("WARC-Date")),
        type=record.rec_type,
        offset=offset,
        length=length,
        digest=header("WARC-Payload-Digest") or "",
        refers_to=datetime.fromisoformat(refers_to) if refers_to else None,
        file=file,
    )


def whole_members(path: Path) -> int:
    """Bytes of a gzip file up to the end of its last whole member: a kill can tear the next."""
    whole = position = 0
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            position += len(block)
            while block:
                try:
                    member.decompress(block)
                except zlib.error:
                    return whole
                block = member.unused_data
                if not member.eof:
                    break
                whole = position - len(block)
                member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    return whole


def read_index(file: BinaryIO, name: str) -> Iterator[Entry]:
    """Entries of a WARC file, made by reading it.

    Raises:
        BadDataError: it is no WARC file.
    """
    for record, offset, length in _records(file, name):
        if record.rec_type not in {"request", "warcinfo"}:
            yield _entry(record, offset, length, name)


def _records(file: BinaryIO, name: str) -> Iterator[tuple[Any, int, int]]:
    from warcio.archiveiterator import ArchiveIterator
    from warcio.exceptions import ArchiveLoadFailed

    records = ArchiveIterator(file)
    try:
        for record in records:
            offset = records.get_record_offset()
            record.raw_stream.read()
            yield record, offset, records.get_record_length()
    except ArchiveLoadFailed as error:
        raise BadDataError(f"snapshot {name}: not a WARC file: {error}") from None


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
            return [_parse(line, name) for line in lines]
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
        return _capture(record, entry, body)

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
            for record, offset, length in _records(old, name):
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


def _parse(line: str, name: str) -> Entry:
    data = json.loads(line)
    refers_to = data.pop("refers_to")
    return Entry(
        **{**data, "at": datetime.fromisoformat(data["at"])},
        refers_to=datetime.fromisoformat(refers_to) if refers_to else None,
        file=name,
    )


def _capture(record: Any, entry: Entry, body: bytes) -> Capture:
    header = record.rec_headers.get_header
    http = record.http_headers
    content_type = http.get_header("Content-Type") if http else header("Content-Type")
    return Capture(
        url=entry.url,
        fetched=entry.at,
        body=body,
        media_type=(content_type or "").partition(";")[0].strip().lower(),
        facts=json.loads(header(FACTS) or "{}"),
        status=int(http.get_statuscode()) if http else None,
        response_headers=tuple(http.headers) if http else (),
        unchanged_since=entry.refers_to,
    )


@contextmanager
def open_snapshots(settings: Settings, author_id: str) -> Iterator[Snapshots]:
    """The snapshots of an author at the address of these settings, for a ``with`` block."""
    settings.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.home, prefix=".snapshots-") as cache:
        yield Snapshots(FileStore(settings.snapshots_root), author_id, Path(cache))
