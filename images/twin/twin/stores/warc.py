"""WARC files (ISO 28500) of pages as they were fetched: how records are written and read.

A file is a gzip member a record. Of a page that has not changed there is a *revisit* record, which
names the one with the body.
"""

import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit, urlunsplit

from twin.domain.errors import BadDataError

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
    for record, offset, length in records_of(file, name):
        if record.rec_type not in {"request", "warcinfo"}:
            yield _entry(record, offset, length, name)


def records_of(file: BinaryIO, name: str) -> Iterator[tuple[Any, int, int]]:
    """Records of a WARC file, each with its offset and length in it.

    Raises:
        BadDataError: it is no WARC file.
    """
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


def entry_of_line(line: str, name: str) -> Entry:
    """An entry of a line of the index of the file ``name``."""
    data = json.loads(line)
    refers_to = data.pop("refers_to")
    return Entry(
        **{**data, "at": datetime.fromisoformat(data["at"])},
        refers_to=datetime.fromisoformat(refers_to) if refers_to else None,
        file=name,
    )


def capture_of(record: Any, entry: Entry, body: bytes) -> Capture:
    """The page, or the note, that a record holds."""
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
