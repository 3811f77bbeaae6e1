"""A web site that answers what a test tells it to, misbehaviour included."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """What a path answers.

    With ``validated``, an ETag comes along, and whoever has it already gets 304; with
    ``last_modified`` alone, that date does the same.
    """

    body: bytes | str = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = "text/html; charset=utf-8"
    validated: bool = False
    last_modified: str | None = None

    def content(self) -> bytes:
        return self.body.encode() if isinstance(self.body, str) else self.body

    def validators(self) -> dict[str, str]:
        etag = f'"{hashlib.sha256(self.content()).hexdigest()[:16]}"'
        found = {"ETag": etag} if self.validated else {}
        return found | ({"Last-Modified": self.last_modified} if self.last_modified else {})

    def is_known_to(self, handler: BaseHTTPRequestHandler) -> bool:
        if self.status != 200:
            return False
        mine = self.validators()
        if asked := handler.headers.get("If-None-Match"):
            return asked == mine.get("ETag")
        asked = handler.headers.get("If-Modified-Since")
        return asked is not None and asked == mine.get("Last-Modified")


Route = Answer | Callable[[BaseHTTPRequestHandler], None]


@dataclass
class SiteServer:
    """A running site: change ``routes`` as the test goes; ``requests`` has what was asked,
    ``answers`` the status that each path was answered with last."""

    url: str
    routes: dict[str, Route]
    requests: list[str] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return self.url.removeprefix("http://")


@contextmanager
def serve(routes: dict[str, Route]) -> Iterator[SiteServer]:
    """Serve ``routes`` on loopback; every other path is a 404."""
    site: SiteServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.requests.append(self.path)
            route = site.routes.get(self.path, Answer("<h1>not here</h1>", status=404))
            if callable(route):
                route(self)
                return
            if route.is_known_to(self):
                site.answers[self.path] = 304
                self.send_response(304)
                for name, value in {**route.validators(), **route.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                return
            body = route.content()
            site.answers[self.path] = route.status
            self.send_response(route.status)
            headers = {"Content-Type": route.media_type, "Content-Length": str(len(body))}
            for name, value in {**headers, **route.validators(), **route.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *arguments: object) -> None:
            pass  # a client that was killed, or gave up

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site = SiteServer(f"http://127.0.0.1:{server.server_port}", routes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()


def article(title: str, words: int = 120, head: str = "", body: str = "") -> str:
    """An HTML page with one article of so many words."""
    sentence = f"This sentence of {title} says something that an author might have said once."
    count = max(words // len(sentence.split()), 1)
    paragraphs = "".join(f"<p>{number}. {sentence}</p>" for number in range(count))
    return (
        f'<html lang="en-GB"><head><title>{title}</title>{head}</head><body>'
        f'<nav><a href="/">Home</a></nav>'
        f"<article><h1>{title}</h1>{paragraphs}{body}</article>"
        "<footer>Subscribe to my newsletter</footer></body></html>"
    )


def sitemap(*urls: str) -> Answer:
    """A sitemap of these URLs."""
    entries = "".join(f"<url><loc>{url}</loc></url>" for url in urls)
    return Answer(
        '<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
        f"{entries}</urlset>",
        media_type="application/xml",
    )


def sitemap_index(*urls: str) -> Answer:
    """An index of these sitemaps."""
    entries = "".join(f"<sitemap><loc>{url}</loc></sitemap>" for url in urls)
    return Answer(
        '<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
        f"{entries}</sitemapindex>",
        media_type="application/xml",
    )
