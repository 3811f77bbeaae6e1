"""A real HTTP server that speaks the chat completions of OpenAI's API, or fails as it is told."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Endpoint:
    """A running server: ``answers`` say in turn how it treats requests, the last one for ever."""

    url: str
    answers: list[Callable[["Handler"], None]]
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    most_at_once: int = 0
    broken_off: int = 0


class Handler(BaseHTTPRequestHandler):
    """One request; the functions below write its answer."""

    protocol_version = "HTTP/1.1"
    server: "Server"
    body: dict[str, Any]

    def do_POST(self) -> None:
        endpoint = self.server.endpoint
        try:
            body = self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        except ValueError:  # who asks was killed while asking
            self.close_connection = True
            return
        with self.server.lock:
            answer = endpoint.answers[min(len(endpoint.bodies), len(endpoint.answers) - 1)]
            endpoint.bodies.append({"path": self.path, **body})
            endpoint.keys.append(self.headers.get("Authorization"))
            self.server.running += 1
            endpoint.most_at_once = max(endpoint.most_at_once, self.server.running)
        try:
            answer(self)
        except (BrokenPipeError, ConnectionResetError):
            endpoint.broken_off += 1
        finally:
            self.close_connection = True
            with self.server.lock:
                self.server.running -= 1

    def log_message(self, *args: Any) -> None:
        pass

    def head(self, status: int, kind: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def event(self, data: Any) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        self.wfile.write(f"data: {text}\n\n".encode())
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.endpoint = endpoint
        self.lock = threading.Lock()
        self.running = 0


@contextmanager
def openai_server(*answers: Callable[[Handler], None]) -> Iterator[Endpoint]:
    """Run a server that answers by these, in turn."""
    endpoint = Endpoint("", list(answers))
    server = Server(endpoint)
    endpoint.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()


def chunk(text: str = "", reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]}


def usage(prompt: int, completion: int) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}}


USAGE = usage(11, 7)


def says(
    pieces: Sequence[str] = ("Pods ", "come ", "and go."),
    reason: str = "stop",
    pause: float = 0.0,
    used: dict[str, Any] = USAGE,
) -> Callable[[Handler], None]:
    """Answer as a good server does."""

    def answer(handler: Handler) -> None:
        handler.head(200, "text/event-stream; charset=utf-8")
        handler.wfile.write(b": keep-alive\n\n")
        handler.event({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})
        for piece in pieces:
            handler.event(chunk(piece))
            time.sleep(pause)
        handler.event(chunk(reason=reason))
        handler.event(used)
        handler.event("[DONE]")

    return answer


def sends(*events: Any) -> Callable[[Handler], None]:
    """Send these events, and no more."""

    def answer(handler: Handler) -> None:
        handler.head(200, "text/event-stream")
        for event in events:
            handler.event(event)

    return answer


def refuses(status: int, message: str = "no", **headers: str) -> Callable[[Handler], None]:
    """Refuse, in the protocol's way."""

    def answer(handler: Handler) -> None:
        handler.head(status, "application/json", **headers)
        handler.wfile.write(json.dumps({"error": {"message": message, "code": status}}).encode())

    return answer


def shows_page(status: int = 200) -> Callable[[Handler], None]:
    """Answer with a page for people."""

    def answer(handler: Handler) -> None:
        handler.head(status, "text/html")
        handler.wfile.write(b"<!doctype html><html><body>Sign in</body></html>")

    return answer


def hangs_up(handler: Handler) -> None:
    """Close the connection without a word."""
    handler.connection.close()


def trickles(seconds: float) -> Callable[[Handler], None]:
    """Send headers so slowly that no wait for a byte is long."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(int(seconds / 0.05)):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.05)

    return answer


def is_silent(seconds: float) -> Callable[[Handler], None]:
    """Take the request, and say nothing."""
    return lambda _: time.sleep(seconds)
