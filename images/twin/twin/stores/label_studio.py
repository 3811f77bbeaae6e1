"""Label Studio's HTTP API (https://api.labelstud.io), as much as a round trip of tasks takes.

Its own client is left alone: it brings OpenCV, NLTK, a code generator and a maker of false names
(over 200 MB), and what is needed here are five requests of JSON.
"""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.settings import Settings

#: An export is written when it is asked for, all tasks at once.
TIMEOUT = httpx.Timeout(300.0, connect=5.0)
TASKS_AT_ONCE = 250
MAX_TITLE = 50
PAGE_SIZE = 100

Task = dict[str, Any]


@dataclass(frozen=True)
class Project:
    """A project of the server."""

    id: int
    title: str
    label_config: str


class LabelStudio:
    """A client of one server, as one of its users."""

    def __init__(self, settings: Settings) -> None:
        url, token = settings.label_studio_url, settings.label_studio_token
        if not url or token is None:
            raise BadConfigurationError(
                "Label Studio is not configured: set TWIN_LABEL_STUDIO_URL to its address and "
                "TWIN_LABEL_STUDIO_TOKEN to an access token of one of its users"
            )
        try:
            self._url = httpx.URL(url.rstrip("/"))
        except httpx.InvalidURL:
            self._url = httpx.URL()
        if self._url.scheme not in {"http", "https"} or not self._url.host:
            raise BadConfigurationError("TWIN_LABEL_STUDIO_URL is no address: http(s)://HOST")
        self.address = str(self._url.copy_with(username=None, password=None))
        self._token = token.get_secret_value().strip()
        self._http = httpx.Client(base_url=self._url, timeout=TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, _: TracebackType | None
    ) -> None:
        self._http.close()

    def find_project(self, title: str) -> Project | None:
        """The user's project of this very title; the oldest of several."""
        found: list[Project] = []
        # By number: the links to further pages name whatever host the server takes itself for.
        for page in itertools.count(1):
            asked = {"title": title, "page": page, "page_size": PAGE_SIZE}
            answer = self._call("GET", "/api/projects/", params=asked)
            rows = [_project(row) for row in answer["results"]]
            found += [project for project in rows if project.title == title]
            if not answer.get("next"):
                break
        return min(found, key=lambda project: project.id, default=None)

    def create_project(
        self, title: str, description: str, label_config: str, people: int
    ) -> Project:
        """A new project in which each task is shown to so many people."""
        body = {
            "title": title,
            "description": description,
            "label_config": label_config,
            "maximum_annotations": people,
        }
        return _project(self._call("POST", "/api/projects/", json=body))

    def add_tasks(self, project: Project, tasks: Sequence[Task]) -> None:
        """Add tasks, each with these fields, in batches: those before a failure are there."""
        for start in range(0, len(tasks), TASKS_AT_ONCE):
            batch = [{"data": task} for task in tasks[start : start + TASKS_AT_ONCE]]
            self._call("POST", f"/api/projects/{project.id}/import", json=batch)

    def tasks(self, project: Project) -> list[Task]:
        """All tasks with their annotations, as the server's own JSON export has them."""
        every = {"exportType": "JSON", "download_all_tasks": "true"}
        tasks: list[Task] = self._call("GET", f"/api/projects/{project.id}/export", params=every)
        return tasks

    def link(self, project: Project) -> str:
        """Where people label."""
        return f"{self.address}/projects/{project.id}"

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        answer = self._request(method, path, **arguments)
        if answer.status_code == httpx.codes.UNAUTHORIZED and "." in self._token:
            self._log_in()
            answer = self._request(method, path, **arguments)
        return self._body(answer)

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        if "authorization" not in self._http.headers:
            self._log_in()
        return self._send(method, path, **arguments)

    def _log_in(self) -> None:
        """A personal access token buys one that is good for minutes; a legacy one is used as is."""
        if "." not in self._token:  # a personal access token is a JWT: three parts, two dots
            self._http.headers["authorization"] = f"Token {self._token}"
            return
        self._http.headers.pop("authorization", None)
        answer = self._send("POST", "/api/token/refresh/", json={"refresh": self._token})
        self._http.headers["authorization"] = f"Bearer {self._body(answer)['access']}"

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise TryAgainError(
                f"Label Studio at {self.address} does not answer: is it started? "
                f"TWIN_LABEL_STUDIO_URL says where it is ({type(error).__name__})"
            ) from None

    def _body(self, answer: httpx.Response) -> Any:
        if answer.status_code in {401, 403}:
            raise BadConfigurationError(
                f"Label Studio at {self.address} refuses access: check TWIN_LABEL_STUDIO_TOKEN "
                "(Account & Settings has it) and what its user may do"
            )
        if answer.status_code == 429 or answer.is_server_error:
            raise TryAgainError(
                f"Label Studio at {self.address} failed with HTTP {answer.status_code}: "
                "see its log, then run this again"
            )
        try:
            body = answer.json()
        except (json.JSONDecodeError, UnicodeDecodeError):
            body = None
        if body is None or answer.is_redirect:
            raise BadConfigurationError(
                f"what answers at {self.address} is not Label Studio: check TWIN_LABEL_STUDIO_URL"
            )
        if answer.is_error:
            told = body if isinstance(body, dict) else {}
            faults = told.get("validation_errors") or told.get("detail") or body
            raise BadDataError(f"Label Studio refuses the request: {json.dumps(faults):.300}")
        return body


def _project(row: dict[str, Any]) -> Project:
    return Project(int(row["id"]), str(row["title"]), str(row.get("label_config") or ""))
