"""A hub on loopback that takes data sets, by the Hugging Face hub's protocol as its library asks.

Repositories, refs, tree, preupload, LFS batches with plain uploads, commits, tags. Xet, which the
real hub prefers for large files, is another service: tests switch the library's use of it off.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = ".parquet"


@dataclass
class DatasetHub:
    """What it holds. ``status`` is answered to everything, where it is set."""

    url: str = ""
    token: str = "hf_writes"
    private: dict[str, bool] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, dict[str, bytes]] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    status: int | None = None

    def answer(  # noqa: C901, PLR0911 - one protocol
        self, method: str, path: str, body: bytes
    ) -> tuple[int, Any]:
        parts = path.strip("/").split("/")
        given = json.loads(body) if body[:1] == b"{" and b"\n{" not in body else None
        match method, *parts:
            case "POST", "api", "repos", "create":
                return self.create(given)
            case "POST", "api", "validate-yaml":
                return 200, {"warnings": [], "errors": []}
            case "GET", "api", "datasets", _, _, "refs":
                tags = [
                    {"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": "0" * 40}
                    for tag in self.tags
                ]
                return 200, {"branches": [], "converts": [], "tags": tags}
            case "GET", "api", "datasets", _, _, "revision" | "tree", *_:
                return self.listing("tree" in parts)
            case "GET", "api", "datasets", _, _:
                return self.listing(is_tree=False)
            case "POST", "api", "datasets", _, _, "preupload", _:
                return 200, {"files": [self.mode(each["path"]) for each in given["files"]]}
            case "POST", "datasets", _, _, "info", "lfs", "objects", "batch":
                return 200, {"objects": [self.upload(each) for each in given["objects"]]}
            case "PUT", "objects", oid:
                assert hashlib.sha256(body).hexdigest() == oid
                self.objects[oid] = body
                return 200, {}
            case "POST", "api", "datasets", _, _, "commit", _:
                return self.commit([json.loads(line) for line in body.splitlines()])
            case "POST", "api", "datasets", _, _, "tag", _:
                self.tags[given["tag"]] = dict(self.files)
                return 200, {}
        return 404, {"error": f"{method} {path}"}

    def create(self, given: dict[str, Any]) -> tuple[int, Any]:
        name = f"{given['organization']}/{given['name']}"
        status = 409 if name in self.private else 200
        self.private.setdefault(name, given["visibility"] == "private")
        return status, {"url": f"{self.url}/datasets/{name}", "name": name}

    def listing(self, is_tree: bool) -> tuple[int, Any]:
        if is_tree:
            rows = [
                {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
                for name, content in self.files.items()
            ]
            return 200, rows
        siblings = [{"rfilename": name} for name in self.files]
        return 200, {"id": "ann/samples", "sha": "0" * 40, "siblings": siblings}

    def mode(self, name: str) -> dict[str, Any]:
        mode = "lfs" if name.endswith(LARGE) else "regular"
        return {"path": name, "uploadMode": mode, "shouldIgnore": False}

    def upload(self, wanted: dict[str, Any]) -> dict[str, Any]:
        place = {"href": f"{self.url}/objects/{wanted['oid']}"}
        actions = {} if wanted["oid"] in self.objects else {"actions": {"upload": place}}
        return {**wanted, **actions}

    def commit(self, lines: list[dict[str, Any]]) -> tuple[int, Any]:
        for line in lines:
            value = line["value"]
            match line["key"]:
                case "header":
                    self.commits.append(value["summary"])
                case "file":
                    self.files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    self.files[value["path"]] = self.objects[value["oid"]]
                case "deletedFile":
                    del self.files[value["path"]]
        return 200, {
            "commitUrl": f"{self.url}/datasets/ann/samples/commit/{'a' * 40}",
            "commitOid": "a" * 40,
        }


@contextmanager
def dataset_hub() -> Iterator[DatasetHub]:
    """Run it, empty."""
    hub = DatasetHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = unquote(urlsplit(self.path).path)
            allowed = self.headers.get("Authorization") == f"Bearer {hub.token}"
            if hub.status is not None:
                status, answer = hub.status, {"error": "it fails"}
            elif not allowed and not path.startswith("/objects/"):
                status, answer = 401, {"error": "Invalid credentials"}
            else:
                status, answer = hub.answer(self.command, path, body)
            sent = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def do_GET(self) -> None:
            self.do_POST()

        def do_PUT(self) -> None:
            self.do_POST()

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
