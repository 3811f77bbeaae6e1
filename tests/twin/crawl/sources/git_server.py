"""GitHub in small: the list of repositories, and git's own server of them over HTTP."""

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

DATE = "2024-03-01T09:30:00+00:00"
IDENTITY = {
    "GIT_AUTHOR_NAME": "Tess", "GIT_AUTHOR_EMAIL": "tess@example.org", "GIT_AUTHOR_DATE": DATE,
    "GIT_COMMITTER_NAME": "Tess", "GIT_COMMITTER_EMAIL": "tess@example.org",
    "GIT_COMMITTER_DATE": DATE, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
}  # fmt: skip


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", "-C", str(folder), *arguments],
        env={**os.environ, **IDENTITY},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def commit(folder: Path, files: Mapping[str, bytes | str], branch: str = "main") -> None:
    """Write files and commit everything in a repository, which is made if it is not there."""
    if not (folder / ".git").exists():
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet", "--initial-branch", branch)
        git(folder, "config", "uploadpack.allowFilter", "true")
    for name, body in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body.encode() if isinstance(body, str) else body)
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "Work")


@dataclass
class GitHub:
    """A running copy of GitHub: ``root`` has a folder of repositories for each user."""

    url: str
    root: Path
    repositories: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    api: Callable[[BaseHTTPRequestHandler], bool] = lambda _: False
    hold: threading.Event | None = None

    @property
    def hosts(self) -> dict[str, str]:
        """The recipe's ``hosts``."""
        return {"github.com": f"{self.url}/git", "api.github.com": f"{self.url}/api"}

    def add(self, name: str, files: Mapping[str, bytes | str], **fields: Any) -> Path:
        """A repository of the user tess, as git and the API show it."""
        folder = self.root / "tess" / f"{name}.git"
        commit(folder, files)
        self.repositories.append({"name": name, "size": 1, "license": None, **fields})
        return folder


class Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: GitHub

    def handle_error(self, *arguments: object) -> None:
        pass  # a client that was killed


class Handler(BaseHTTPRequestHandler):
    server: "Server"
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        self.server.hub.requests.append((self.path, dict(self.headers)))
        if self.path.startswith("/git/"):
            if self.server.hub.hold is not None:
                self.server.hub.hold.wait(60)
            self._git(b"")
        elif not self.server.hub.api(self):
            _list(self, self.server.hub)

    def do_POST(self) -> None:
        self._git(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _git(self, body: bytes) -> None:
        path, _, query = self.path.removeprefix("/git").partition("?")
        root = str(self.server.hub.root)
        environment = {
            **os.environ, **IDENTITY, "GIT_PROJECT_ROOT": root, "PATH_INFO": path,
            "GIT_HTTP_EXPORT_ALL": "1", "REQUEST_METHOD": self.command, "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "CONTENT_LENGTH": str(len(body)), "REMOTE_ADDR": "127.0.0.1",
            "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }  # fmt: skip
        done = subprocess.run(
            ["git", "http-backend"],
            env=environment,
            input=body,
            capture_output=True,
            check=True,
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def github(root: Path) -> Iterator[GitHub]:
    """Serve on loopback."""
    server = Server(("127.0.0.1", 0), Handler)
    server.hub = GitHub(f"http://127.0.0.1:{server.server_port}", root)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        server.server_close()


def _list(handler: BaseHTTPRequestHandler, hub: GitHub) -> None:
    parts = urlsplit(handler.path)
    query = {name: int(values[0]) for name, values in parse_qs(parts.query).items()
             if name in {"page", "per_page"}}  # fmt: skip
    if parts.path != "/api/users/tess/repos":
        answer(handler, 404, {"message": "Not Found"})
        return
    start = (query["page"] - 1) * query["per_page"]
    answer(handler, 200, hub.repositories[start : start + query["per_page"]])


def answer(handler: BaseHTTPRequestHandler, status: int, data: object, **headers: str) -> bool:
    """Answer with JSON."""
    body = json.dumps(data).encode()
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)
    return True
