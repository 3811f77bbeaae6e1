"""An S3 bucket in memory: objects, conditional writes, uploads in parts, listings, deletion.

The protocol is https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html and its
neighbours; `s3fs` and `botocore` in front of it are the real ones.
"""

import contextlib
import hashlib
import re
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

ERROR = "<Error><Code>{code}</Code><Message>{code}</Message></Error>"
LISTING = (
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>'
    "<KeyCount>{count}</KeyCount><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
)
ENTRY = (
    "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>{tag}</ETag>"
    "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
)
BEGUN = (
    "<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
)
FOLDER = "<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    uploads: dict[str, dict[int, bytes]]
    broken_part: int
    requests: list[tuple[str, str]]
    refusing: bool
    lock: threading.Lock

    def parse_request(self) -> bool:
        read = super().parse_request()
        if read:
            self.requests.append((self.command, urlsplit(self.path).path))
        return read

    def do_HEAD(self) -> None:
        self._object(with_body=False)

    def do_GET(self) -> None:
        query = self._query()
        if "list-type" in query:
            self._list(query.get("prefix", ""), query.get("delimiter", ""))
        else:
            self._object(with_body=True)

    def do_PUT(self) -> None:
        content, query = self._content(), self._query()
        if "partNumber" in query:
            return self._take_part(query["uploadId"], int(query["partNumber"]), content)
        with self.lock:
            found = self.objects.get(urlsplit(self.path).path)
            match, none = self.headers.get("If-Match"), self.headers.get("If-None-Match")
            if none == "*" and found is not None:
                return self._refuse(412, "PreconditionFailed")
            if match is not None and found is None:
                return self._refuse(404, "NoSuchKey")
            if match is not None and match != _tag(found):
                return self._refuse(412, "PreconditionFailed")
            self.objects[urlsplit(self.path).path] = content
        return self._send(200, b"", tag=_tag(content))

    def do_POST(self) -> None:
        content, query = self._content(), self._query()
        if "delete" in query:
            for key in re.findall(r"<Key>(.*?)</Key>", content.decode()):
                path = f"{urlsplit(self.path).path.rstrip('/')}/{key}"
                self.requests.append(("DELETE", path))
                self.objects.pop(path, None)
            return self._send(200, b"<DeleteResult/>", "application/xml")
        if "uploads" in query:
            upload = uuid.uuid4().hex
            self.uploads[upload] = {}
            return self._send(200, BEGUN.format(upload=upload).encode(), "application/xml")
        parts = self.uploads.pop(query["uploadId"])
        whole = b"".join(parts[number] for number in sorted(parts))
        self.objects[urlsplit(self.path).path] = whole
        return self._send(200, b"<CompleteMultipartUploadResult/>", "application/xml")

    def do_DELETE(self) -> None:
        if upload := self._query().get("uploadId"):
            self.uploads.pop(upload, None)
        else:
            self.objects.pop(urlsplit(self.path).path, None)
        self._send(204, b"")

    def _take_part(self, upload: str, number: int, content: bytes) -> None:
        if number == self.broken_part:
            return self._refuse(403, "AccessDenied")
        self.uploads[upload][number] = content
        return self._send(200, b"", tag=_tag(content))

    def _list(self, prefix: str, delimiter: str) -> None:
        bucket = urlsplit(self.path).path.rstrip("/")
        keys = {path.removeprefix(f"{bucket}/"): held for path, held in self.objects.items()}
        found, folders = [], set()
        for key in sorted(key for key in keys if key.startswith(prefix)):
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.split(delimiter)[0] + delimiter)
                continue
            held = keys[key]
            found.append(ENTRY.format(key=escape(key), size=len(held), tag=_tag(held)))
        entries = [*found, *(FOLDER.format(key=escape(key)) for key in sorted(folders))]
        listing = LISTING.format(count=len(entries), entries="".join(entries))
        self._send(200, listing.encode(), "application/xml")

    def _query(self) -> dict[str, str]:
        asked = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        return {name: values[0] for name, values in asked.items()}

    def _content(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def log_message(self, *_: object) -> None:
        pass

    def _object(self, *, with_body: bool) -> None:
        found = self.objects.get(urlsplit(self.path).path)
        if self.refusing:
            self._refuse(403, "AccessDenied", with_body=with_body)
        elif found is None:
            self._refuse(404, "NoSuchKey", with_body=with_body)
        elif asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(asked[1]), int(asked[2] or len(found) - 1)
            self._send(206, found[first : last + 1], tag=_tag(found), with_body=with_body)
        else:
            self._send(200, found, tag=_tag(found), with_body=with_body)

    def _refuse(self, status: int, code: str, *, with_body: bool = True) -> None:
        self._send(status, ERROR.format(code=code).encode(), "application/xml", with_body=with_body)

    def _send(
        self,
        status: int,
        content: bytes,
        kind: str = "application/octet-stream",
        tag: str = "",
        *,
        with_body: bool = True,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        if with_body:
            self.wfile.write(content)


def _tag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


class S3Server:
    """What the tests see of a running one."""

    def __init__(self, handler: type[_Handler], url: str) -> None:
        self._handler = handler
        self.url = url

    @property
    def objects(self) -> dict[str, bytes]:
        """Content by ``/bucket/key``."""
        return self._handler.objects

    @property
    def uploads(self) -> dict[str, dict[int, bytes]]:
        """Uploads that were begun and neither completed nor aborted: parts by number."""
        return self._handler.uploads

    @property
    def requests(self) -> list[tuple[str, str]]:
        """Method and path of each request; deletions of several are there one by one."""
        return self._handler.requests

    def refuse(self) -> None:
        """Let nobody read from now on."""
        self._handler.refusing = True

    def break_part(self, number: int) -> None:
        """Refuse parts of this number from now on; 0 refuses none."""
        self._handler.broken_part = number


@contextlib.contextmanager
def s3_bucket() -> Iterator[S3Server]:
    """Run one until the block ends."""
    state = {
        "objects": {}, "uploads": {}, "broken_part": 0, "requests": [], "refusing": False,
        "lock": threading.Lock(),
    }  # fmt: skip
    handler = type("Handler", (_Handler,), state)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield S3Server(handler, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """Run one until the block ends; yields its URL."""
    with s3_bucket() as server:
        yield server.url
