"""A model hub on loopback that speaks the Hugging Face hub's protocol, as its library asks it.

Model information (``/api/models/ID[/revision/REVISION]?blobs=true``) and files
(``/ID/resolve/REVISION/NAME``, with ranges, ETags and redirects to another host for large files),
gated and private models, tokens, gone revisions, and connections that break in mid-file.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse


@dataclass
class HubModel:
    """A model of the hub: its files at each commit."""

    commits: dict[str, dict[str, bytes]]
    main: str
    card: dict = field(default_factory=lambda: {"license": "apache-2.0"})
    gated: bool = False
    private: bool = False


@dataclass
class FakeHub:
    """What the server answers by, and what it was asked."""

    models: dict[str, HubModel] = field(default_factory=dict)
    token: str = "hf_right"
    members: set[str] = field(default_factory=set)  # tokens that may read gated models
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    #: Bytes after which the next answers with a file break off, one each.
    cuts: list[int] = field(default_factory=list)
    #: Seconds' worth of patience: bytes of a large file after which the server hangs.
    hang_after: int | None = None
    status: int | None = None  # answered to everything, when set
    spoilt: set[str] = field(default_factory=set)  # files whose bytes are not those announced
    url: str = ""
    cdn: str = ""
    cdn_authorizations: list[str | None] = field(default_factory=list)
    resumed: threading.Event = field(default_factory=threading.Event)

    def add(
        self, model: str, folder: Path, commit: str = "0123456789abcdef" * 2 + "01234567", **more
    ):
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        self.models[model] = HubModel({commit: files}, commit, **more)
        return commit


LARGE = (".safetensors", ".bin")


def _handler(hub: FakeHub):  # noqa: C901 - one class, which needs the hub
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_args):
            pass

        def do_HEAD(self):
            self._answer(body=False)

        def do_GET(self):
            self._answer(body=True)

        def _answer(self, *, body: bool):
            path = unquote(urlparse(self.path).path)
            hub.requests.append((self.command, path, self.headers.get("Range")))
            if hub.status is not None:
                self._refuse(hub.status)
                return
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            if token and token != hub.token and token not in hub.members:
                self._refuse(401, message="Invalid credentials in Authorization header")
                return
            if path.startswith("/api/models/"):
                name, _, revision = path.removeprefix("/api/models/").partition("/revision/")
                self._info(name, revision or None, token)
            elif "/resolve/" in path:
                name, _, rest = path.lstrip("/").partition("/resolve/")
                revision, _, file = rest.partition("/")
                self._file(name, revision, file, token, body=body)
            elif path.startswith("/cdn/"):
                hub.cdn_authorizations.append(self.headers.get("Authorization"))
                _, _, name, commit, file = path.split("/", 4)
                model = hub.models[name.replace("--", "/")]
                self._send(model.commits[commit][file], file, body=body)
            else:
                self._refuse(404)

        def _model(self, name, token):
            model = hub.models.get(name)
            if model is None or (model.private and not token):
                # So the real hub answers strangers, lest they learn what private models there are.
                self._refuse(404 if token else 401, code="RepoNotFound")
                return None
            return model

        def _info(self, name, revision, token):
            if (model := self._model(name, token)) is None:
                return
            commit = self._commit(model, revision)
            if commit is None:
                self._refuse(404, code="RevisionNotFound")
                return
            siblings = [
                {"rfilename": file, "size": len(content), **_identity(file, content)}
                for file, content in model.commits[commit].items()
            ]
            tags = [f"license:{model.card['license']}"] if "license" in model.card else []
            answer = {
                "id": name, "modelId": name, "sha": commit, "private": model.private,
                "gated": "manual" if model.gated else False, "tags": tags, "downloads": 0,
                "cardData": model.card, "siblings": siblings,
            }  # fmt: skip
            content = json.dumps(answer).encode()
            self._head(200, len(content), {"Content-Type": "application/json"})
            self.wfile.write(content)

        def _file(self, name, revision, file, token, *, body):
            if (model := self._model(name, token)) is None:
                return
            if model.gated and token not in hub.members:
                self._refuse(403 if token else 401, code="GatedRepo")
                return
            commit = self._commit(model, revision)
            if commit is None:
                self._refuse(404, code="RevisionNotFound")
            elif (content := model.commits[commit].get(file)) is None:
                self._refuse(404, code="EntryNotFound")
            elif file.endswith(LARGE) and hub.cdn:
                place = f"{hub.cdn}/cdn/{name.replace('/', '--')}/{commit}/{file}"
                self._head(302, 0, {"Location": place, "X-Repo-Commit": commit})
            else:
                self._send(content, file, body=body, commit=commit)

        @staticmethod
        def _commit(model, revision):
            if revision in {None, "main"}:
                return model.main
            return revision if revision in model.commits else None

        def _send(self, content, file, *, body, commit=""):
            if file in hub.spoilt:
                content = bytes(len(content))
            first = 0
            if (asked := self.headers.get("Range")) is not None:
                first = int(asked.removeprefix("bytes=").split("-")[0])
                hub.resumed.set()
            part = content[first:]
            headers = {"ETag": f'"{_etag(file, content)}"', "X-Repo-Commit": commit}
            if first:
                headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            self._head(206 if first else 200, len(part), headers)
            if body:
                self._write(part, file)

        def _write(self, part, file):
            large = file.endswith(LARGE)
            if large and hub.cuts:
                self.wfile.write(part[: hub.cuts.pop(0)])
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(2)
            elif large and hub.hang_after is not None:
                self.wfile.write(part[: hub.hang_after])
                self.wfile.flush()
                hub.resumed.wait(60)
                self.close_connection = True
            else:
                self.wfile.write(part)

        def _refuse(self, status, code=None, message=None):
            headers = {"X-Error-Code": code, "X-Error-Message": message}
            self._head(status, 0, {k: v for k, v in headers.items() if v})

        def _head(self, status, length, headers):
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()

    return Handler


def _identity(file: str, content: bytes) -> dict:
    git = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
    if file.endswith(LARGE):
        sha256 = hashlib.sha256(content).hexdigest()
        return {"blobId": git, "lfs": {"sha256": sha256, "size": len(content), "pointerSize": 134}}
    return {"blobId": git}


def _etag(file: str, content: bytes) -> str:
    identity = _identity(file, content)
    return identity["lfs"]["sha256"] if "lfs" in identity else identity["blobId"]


@contextmanager
def running_hub() -> Iterator[FakeHub]:
    """A hub at ``hub.url``, whose large files lie on another host, ``hub.cdn``."""
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    hub.cdn = f"http://localhost:{server.server_port}"
    try:
        yield hub
    finally:
        hub.resumed.set()
        server.shutdown()
        server.server_close()
        thread.join()
