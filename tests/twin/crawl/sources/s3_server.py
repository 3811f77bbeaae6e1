"""The part of the S3 protocol that reading takes: lists with continuation, and objects."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = 3
"""Keys in one answer to a list, so that every test with more of them meets a continuation."""


@dataclass
class S3Server:
    """A running server with one bucket; ``read`` has the keys of the objects downloaded."""

    url: str
    bucket: str
    objects: dict[str, bytes] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    down: bool = False

    def refusal(self, bucket: str, key: str) -> tuple[int, str] | None:
        """Status and code of what is not answered."""
        if self.down:
            return 503, "ServiceUnavailable"
        if bucket != self.bucket:
            return 404, "NoSuchBucket"
        if key in self.refuse:
            return 403, "AccessDenied"
        return (404, "NoSuchKey") if key and key not in self.objects else None


class Server(ThreadingHTTPServer):
    daemon_threads = True
    s3: S3Server


class Handler(BaseHTTPRequestHandler):
    server: "Server"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if refusal := self.server.s3.refusal(bucket, key):
            self._error(*refusal)
        elif not key:
            self._send(
                200, _listing(self.server.s3, query).encode(), {"Content-Type": "application/xml"}
            )
        else:
            self.server.s3.read.append(key)
            self._send(
                200, self.server.s3.objects[key], {"ETag": _etag(self.server.s3.objects[key])}
            )

    def do_HEAD(self) -> None:
        self.do_GET()

    def _error(self, status: int, code: str) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"
        self._send(status, body.encode(), {"Content-Type": "application/xml"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        modified = {"Last-Modified": "Fri, 01 Mar 2024 09:30:00 GMT"}
        length = {"Content-Length": str(len(body))}
        for name, value in {**modified, **length, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def s3_server(bucket: str = "papers") -> Iterator[S3Server]:
    """Serve a bucket on loopback."""
    server = Server(("127.0.0.1", 0), Handler)
    server.s3 = S3Server(f"http://127.0.0.1:{server.server_port}", bucket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.s3
    finally:
        server.shutdown()
        server.server_close()


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


def _listing(s3: S3Server, query: dict[str, str]) -> str:
    keys = sorted(key for key in s3.objects if key.startswith(query.get("prefix", "")))
    start = int(query.get("continuation-token", 0))
    page, more = keys[start : start + PAGE], len(keys) > start + PAGE
    entries = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{len(s3.objects[key])}</Size>"
        f"<ETag>{escape(_etag(s3.objects[key]))}</ETag>"
        "<LastModified>2024-03-01T09:30:00.000Z</LastModified></Contents>"
        for key in page
    )
    token = f"<NextContinuationToken>{start + PAGE}</NextContinuationToken>" if more else ""
    return (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{s3.bucket}</Name><KeyCount>{len(page)}</KeyCount><MaxKeys>{PAGE}</MaxKeys>"
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}</ListBucketResult>"
    )
