"""An S3 bucket in memory, as far as small objects and conditional writes need one.

The protocol is https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html; `s3fs` and
`botocore` in front of it are the real ones.
"""

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ERROR = "<Error><Code>{code}</Code><Message>{code}</Message></Error>"
NOTHING = (
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>bucket</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    lock: threading.Lock

    def do_HEAD(self) -> None:
        self._object(with_body=False)

    def do_GET(self) -> None:
        if "list-type=2" in urlsplit(self.path).query:
            self._send(200, NOTHING.encode(), "application/xml")
        else:
            self._object(with_body=True)

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
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

    def log_message(self, *_: object) -> None:
        pass

    def _object(self, *, with_body: bool) -> None:
        found = self.objects.get(urlsplit(self.path).path)
        if found is None:
            self._refuse(404, "NoSuchKey", with_body=with_body)
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


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """Run one until the block ends; yields its URL."""
    handler = type("Handler", (_Handler,), {"objects": {}, "lock": threading.Lock()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
