"""A small HTTP server that answers as Label Studio 1.23.2 does: what ours asks it, and no more.

The bodies in ``tests/label_studio`` were recorded from that release, as were refusals below. To run
the same tests against a server of your own: ``TWIN_TEST_LABEL_STUDIO_URL`` and
``TWIN_TEST_LABEL_STUDIO_TOKEN`` (projects of tests stay there).
"""

import copy
import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

RECORDED = Path(__file__).parent / "label_studio"
PROJECT, TASK, ANNOTATION = (
    json.loads((RECORDED / f"{name}.json").read_text())
    for name in ("project", "task", "annotation")
)
LEGACY = "0123456789012345678901234567890123456789"
PERSONAL = "eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.c2lnbmF0dXJl"
NO_ACCESS = "Authentication credentials were not provided."


@dataclass
class Server:
    """What it holds. ``failing`` is a status that every request gets, where it is set."""

    url: str = ""
    projects: list[dict[str, Any]] = field(default_factory=list)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    access: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    failing: int | None = None
    body: bytes | None = None

    def refuse(self, status: int, detail: str, **more: Any) -> tuple[int, Any]:
        fixed = {"id": "9edeee00-a091-4893-8ab7-9f339c0f2598", "version": "1.23.2"}
        return status, {**fixed, "status_code": status, "detail": detail, "exc_info": None, **more}

    def invalid(self, field_name: str, fault: str) -> tuple[int, Any]:
        return self.refuse(400, "Validation error", validation_errors={field_name: [fault]})

    def knows(self, authorization: str | None) -> bool:
        return authorization in {f"Token {LEGACY}", *(f"Bearer {each}" for each in self.access)}

    def refresh(self, body: Any) -> tuple[int, Any]:
        if body["refresh"] != PERSONAL:
            return self.refuse(401, "Token is invalid")
        token = f"access.number.{len(self.requests)}"
        self.access.add(token)
        return 200, {"access": token}

    def create(self, body: Any) -> tuple[int, Any]:
        if len(body["title"]) > 50:
            return self.invalid("title", "Ensure this field has no more than 50 characters.")
        project = {**copy.deepcopy(PROJECT), **body, "id": len(self.projects) + 1}
        self.projects.append(project)
        return 201, project

    def listing(self, query: dict[str, list[str]]) -> tuple[int, Any]:
        title, size, page = query["title"][0], int(query["page_size"][0]), int(query["page"][0])
        found = [each for each in reversed(self.projects) if title.lower() in each["title"].lower()]
        if found and (page - 1) * size >= len(found):
            return self.refuse(404, "Invalid page.")
        more = f"http://elsewhere.example/?page={page + 1}" if page * size < len(found) else None
        rows = found[(page - 1) * size : page * size]
        return 200, {"count": len(found), "next": more, "previous": None, "results": rows}

    def add(self, project: int, body: Any) -> tuple[int, Any]:
        if not body:
            return self.invalid("non_field_errors", "load_tasks: No tasks added")
        for each in body:
            task = {**copy.deepcopy(TASK), **each, "id": len(self.tasks) + 1, "project": project}
            self.tasks.append(task)
        return 201, {"task_count": len(body), "annotation_count": 0, "prediction_count": 0}

    def annotate(self, number: int, body: Any) -> tuple[int, Any]:
        task = next(each for each in self.tasks if each["id"] == number)
        when = f"2026-11-30T01:08:{len(self.requests):02}.000000Z"
        made = {**copy.deepcopy(ANNOTATION), **body, "task": number, "created_at": when}
        task["annotations"].append(made)
        return 201, made

    def export(self, project: int, query: dict[str, list[str]]) -> tuple[int, Any]:
        whole = query.get("download_all_tasks") == ["true"]
        ours = [each for each in self.tasks if each["project"] == project]
        return 200, [each for each in ours if whole or each["annotations"]]

    def answer(self, request: "Handler", body: Any) -> tuple[int, Any]:
        path, query = urlsplit(request.path).path.rstrip("/"), request.path.partition("?")[2]
        if path == "/api/token/refresh":
            return self.refresh(body)
        if not self.knows(request.headers["Authorization"]):
            return self.refuse(401, NO_ACCESS)
        asked = (request.command, *path.removeprefix("/api/").split("/"))
        return self.routed(asked, parse_qs(query), body)

    def routed(
        self, asked: tuple[str, ...], query: dict[str, list[str]], body: Any
    ) -> tuple[int, Any]:
        answer = self.refuse(404, "No Project matches the given query.")
        match asked:
            case "GET", "projects":
                answer = self.listing(query)
            case "POST", "projects":
                answer = self.create(body)
            case "POST", "projects", number, "import" if self._has(number):
                answer = self.add(int(number), body)
            case "GET", "projects", number, "export" if self._has(number):
                answer = self.export(int(number), query)
            case "POST", "tasks", number, "annotations":
                answer = self.annotate(int(number), body)
        return answer

    def _has(self, number: str) -> bool:
        return int(number) <= len(self.projects)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    held: Server
    lock: threading.Lock

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        with self.lock:
            self.held.requests.append(f"{self.command} {re.sub(r'[?].*', '', self.path)}")
            status, answer = (
                (self.held.failing, {}) if self.held.failing else self.held.answer(self, body)
            )
        sent = self.held.body if self.held.body is not None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def label_studio_server() -> Iterator[Server]:
    """Run it, empty."""
    held = Server()
    kind = type("Bound", (Handler,), {"held": held, "lock": threading.Lock()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    server.daemon_threads = True
    held.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield held
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def results(**filled: str) -> list[dict[str, Any]]:
    """What the page sends of these fields, by their names."""
    kinds = {"verdict": "choices", "reason": "choices", "edited": "textarea", "note": "textarea"}
    keys = {"choices": "choices", "textarea": "text"}
    return [
        {
            "from_name": name,
            "to_name": "answer",
            "type": kinds[name],
            "value": {keys[kinds[name]]: [text]},
        }
        for name, text in filled.items()
    ]


_numbers = itertools.count(1)


def task(data: dict[str, Any], *annotations: dict[str, Any]) -> dict[str, Any]:
    """A task as an export has it."""
    return {
        **copy.deepcopy(TASK),
        "id": next(_numbers),
        "data": data,
        "annotations": list(annotations),
    }


def annotation(
    person: Any = 1, when: str = "2026-11-30T01:00:00Z", **filled: str
) -> dict[str, Any]:
    """An annotation as an export has it."""
    return {
        **copy.deepcopy(ANNOTATION),
        "completed_by": person,
        "created_at": when,
        "result": results(**filled),
    }
