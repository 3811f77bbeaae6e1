"""Qdrant's REST routes over the local mode of its own client: `python -m tests.qdrant_routes`.

No package has Qdrant's server. This process stands in for it, so that tests speak to the index by
HTTP and can kill it in the middle of a write: each point is durable when it is written, one by one,
and a process that is started again on the same folder holds what was written before.

``--die-after N`` kills the process in the middle of an upsert, when it has written so many points;
``--hold-after N`` makes it wait there as long as the file ``held`` is in its folder.
"""

import argparse
import json
import os
import re
import signal
import threading
import time
import warnings
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, TypeAdapter
from qdrant_client import QdrantClient, models

Handler = Callable[["Store", str, bytes], Any]


class Store:
    """The collections in a folder. Payload indexes change no answer, and are only noted."""

    def __init__(self, folder: Path) -> None:
        self.client = QdrantClient(path=str(folder), force_disable_check_same_thread=True)
        self.lock = threading.Lock()
        self.die_after = self.hold_after = 0
        self._held = folder / "held"
        self._points = 0
        self._noted = folder / "payload-indexes.json"
        self.indexes: dict[str, dict[str, str]] = (
            json.loads(self._noted.read_text()) if self._noted.exists() else {}
        )

    def upsert(self, name: str, points: list[models.PointStruct]) -> Any:
        if not (self.die_after or self.hold_after):
            return self.client.upsert(name, points)
        for point in points:
            self.client.upsert(name, [point])
            self._points += 1
            if self._points == self.die_after:
                os.kill(os.getpid(), signal.SIGKILL)
            if self._points == self.hold_after:
                self._held.touch()
                while self._held.exists():
                    time.sleep(0.02)
        return _done()

    def note(self, collection: str, field: str, kind: str) -> None:
        self.indexes.setdefault(collection, {})[field] = kind
        self._noted.write_text(json.dumps(self.indexes))


def _info(store: Store, name: str, _body: bytes) -> Any:
    info = store.client.get_collection(name).model_dump(mode="json")
    kinds = store.indexes.get(name, {})
    info["payload_schema"] = {f: {"data_type": kind, "points": 0} for f, kind in kinds.items()}
    return info


def _create(store: Store, name: str, body: bytes) -> bool:
    asked = models.CreateCollection.model_validate_json(body)
    store.indexes.pop(name, None)
    return store.client.create_collection(
        name,
        vectors_config=asked.vectors,
        sparse_vectors_config=asked.sparse_vectors,
        metadata=asked.metadata,
    )


def _index(store: Store, name: str, body: bytes) -> Any:
    asked = json.loads(body)
    store.note(name, asked["field_name"], asked["field_schema"])
    return _done()


def _upsert(store: Store, name: str, body: bytes) -> Any:
    points = models.PointsList.model_validate_json(body).points
    return store.upsert(name, points)


_SELECTOR: TypeAdapter[Any] = TypeAdapter(models.PointIdsList | models.FilterSelector)


def _scroll(store: Store, name: str, body: bytes) -> Any:
    asked = models.ScrollRequest.model_validate_json(body)
    points, following = store.client.scroll(
        name,
        scroll_filter=asked.filter,
        limit=asked.limit or 10,
        offset=asked.offset,
        with_payload=asked.with_payload or False,
        with_vectors=asked.with_vector or False,
    )
    return {"points": points, "next_page_offset": following}


def _retrieve(store: Store, name: str, body: bytes) -> Any:
    asked = models.PointRequest.model_validate_json(body)
    return store.client.retrieve(
        name,
        asked.ids,
        with_payload=asked.with_payload or False,
        with_vectors=asked.with_vector or False,
    )


def _query(store: Store, name: str, body: bytes) -> Any:
    asked = models.QueryRequest.model_validate_json(body)
    return store.client.query_points(
        name,
        query=asked.query,
        prefetch=asked.prefetch,
        using=asked.using,
        query_filter=asked.filter,
        limit=asked.limit or 10,
        with_payload=asked.with_payload or False,
        with_vectors=asked.with_vector or False,
    )


def _count(store: Store, name: str, body: bytes) -> Any:
    asked = models.CountRequest.model_validate_json(body)
    return store.client.count(name, count_filter=asked.filter, exact=True)


def _aliases(store: Store, _name: str, body: bytes) -> Any:
    asked = models.ChangeAliasesOperation.model_validate_json(body)
    return store.client.update_collection_aliases(asked.actions)


def _done() -> dict[str, Any]:
    return {"operation_id": 0, "status": "completed"}


ROUTES: dict[tuple[str, str], Handler] = {
    ("GET", "/collections"): lambda store, *_: store.client.get_collections(),
    ("GET", "/aliases"): lambda store, *_: store.client.get_aliases(),
    ("POST", "/collections/aliases"): _aliases,
    ("GET", "/collections/NAME"): _info,
    ("PUT", "/collections/NAME"): _create,
    ("DELETE", "/collections/NAME"): lambda store, name, _: store.client.delete_collection(name),
    ("PUT", "/collections/NAME/index"): _index,
    ("PUT", "/collections/NAME/points"): _upsert,
    ("POST", "/collections/NAME/points"): _retrieve,
    ("POST", "/collections/NAME/points/delete"): lambda store, name, body: store.client.delete(
        name, _SELECTOR.validate_json(body)
    ),
    ("POST", "/collections/NAME/points/scroll"): _scroll,
    ("POST", "/collections/NAME/points/count"): _count,
    ("POST", "/collections/NAME/points/query"): _query,
}

_NAME = re.compile(r"^(/collections/)(?!aliases$)([^/]+)")


class Requests(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    store: Store

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urlsplit(self.path).path
        found = _NAME.match(path)
        name = found[2] if found else ""
        handler = ROUTES.get((self.command, _NAME.sub(r"\1NAME", path)))
        if handler is None:
            return self._send(404, {"status": {"error": f"no route {self.command} {path}"}})
        try:
            with self.store.lock:
                result = handler(self.store, name, body)
        except ValueError as error:
            unknown = "not found" in str(error)
            return self._send(404 if unknown else 400, {"status": {"error": str(error)}})
        return self._send(200, {"result": _plain(result), "status": "ok", "time": 0.0})

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the names that http.server calls

    def _send(self, status: int, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def main() -> None:
    """Serve the folder until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--die-after", type=int, default=0)
    parser.add_argument("--hold-after", type=int, default=0)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", "Payload indexes have no effect")
    Requests.store = store = Store(arguments.folder)
    store.die_after, store.hold_after = arguments.die_after, arguments.hold_after
    ThreadingHTTPServer(("127.0.0.1", arguments.port), Requests).serve_forever()


if __name__ == "__main__":
    main()
