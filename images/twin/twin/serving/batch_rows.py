"""The rows of a batch: what is asked, and the asking, which Ray Data spreads over processes.

A row is what `/v1/answers` takes, and an ``id`` if it has one; without one its id is a digest of
it, so rows that ask the same are the same.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import ValidationError

from twin.domain.answer import Answer
from twin.domain.errors import BadConfigurationError, TryAgainError
from twin.serving.schema import AnswerRequest

#: Of an endpoint that is busy or being replaced: minutes, for a restart takes some.
ATTEMPTS = 12
LONGEST_PAUSE_SECONDS = 60.0
#: An answer may wait as long for the engine, and be written as long.
ANSWER_SECONDS = 300.0
CONNECT_SECONDS = 5.0
BUSY = frozenset({429, 502, 503, 504})

Row = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A row that can be asked."""

    id: str
    body: Row


class BadRowError(Exception):
    """A row that can't be asked, or that the endpoint refuses; the text says why.

    ``row`` is its id, if it could be read.
    """

    def __init__(self, reason: str, row: str | None = None) -> None:
        super().__init__(reason)
        self.row = row


def asked_of(row: Mapping[str, Any], model: str) -> Asked:
    """A row as the endpoint takes it.

    Args:
        row: of a table; ``line`` alone is a line of JSON.
        model: who is asked.

    Raises:
        BadRowError: it is no question.
    """
    given = _parsed(row["line"]) if set(row) == {"line"} else dict(row)
    identity = given.pop("id", None)
    identity = digest_of(given) if identity is None else str(identity)
    try:
        asked = AnswerRequest.model_validate(given | {"model": model, "stream": False})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        reason = str(first["msg"]).removeprefix("Value error, ")
        raise BadRowError(f"{where}: {reason}" if where else reason, identity) from None
    body = asked.model_dump(mode="json", exclude_unset=True)
    return Asked(identity, body)


def digest_of(row: Mapping[str, Any]) -> str:
    """The id of a row that has none."""
    text = json.dumps(row, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _parsed(line: str) -> Row:
    try:
        row = json.loads(line)
    except ValueError:
        raise BadRowError(f"no JSON: {line[:80]!r}") from None
    if not isinstance(row, dict):
        raise BadRowError(f"no JSON object: {line[:80]!r}")
    return row


@dataclass
class Asker:
    """Asks the endpoint a row at a time, in a process of Ray's.

    Attributes:
        url: of the endpoint.
        key: that it is asked with.
        model: who is asked.
        done: ids of rows that are answered already.
    """

    url: str
    key: str
    model: str
    done: frozenset[str]

    def outcomes(self, row: Row) -> list[Row]:
        """What came of a row: its ``id``, and ``answer`` (as JSON), ``error`` or ``away``."""
        try:
            asked = asked_of(row, self.model)
        except BadRowError as error:
            return [_outcome(error.row or digest_of(row), error=str(error))]
        if asked.id in self.done:
            return [_outcome(asked.id)]
        try:
            return [_outcome(asked.id, answer=self._ask(asked.body).model_dump_json())]
        except BadRowError as error:
            return [_outcome(asked.id, error=str(error))]
        except (TryAgainError, BadConfigurationError) as error:
            # As data: Ray would wrap an exception in pages of its own.
            return [_outcome(asked.id, away=f"{type(error).__name__}: {error}")]

    def _ask(self, body: Row) -> Answer:
        reason = ""
        for attempt in range(ATTEMPTS):
            pause = min(LONGEST_PAUSE_SECONDS, 0.5 * 2**attempt)
            try:
                response = self._http().post("/v1/answers", json=body)
            except httpx.TransportError as error:
                reason = f"does not answer ({type(error).__name__})"
            else:
                if response.is_success:
                    return Answer.model_validate_json(response.content)
                reason = _reason(response)
                if response.status_code in (401, 403):
                    raise BadConfigurationError(f"the endpoint {self.url}: {reason}")
                if response.status_code not in BUSY or "insufficient_quota" in response.text:
                    _refuse(response, reason)
                pause = float(response.headers.get("Retry-After", pause))
            time.sleep(min(pause, LONGEST_PAUSE_SECONDS))
        raise TryAgainError(f"the endpoint {self.url} {reason}: run again, what is answered stays")

    def _http(self) -> httpx.Client:
        if not hasattr(self, "_client"):
            timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
            self._client = httpx.Client(
                base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=timeout
            )
        return self._client


def _refuse(response: httpx.Response, reason: str) -> None:
    """Raises `TryAgainError` for the key's quota, which is the row's fault least of all, and
    `BadRowError` for anything else."""
    if response.status_code == 429:
        raise TryAgainError(f"{reason}: run again tomorrow, what is answered stays")
    raise BadRowError(reason)


def _outcome(row: str, *, answer: str = "", error: str = "", away: str = "") -> Row:
    return {"id": row, "answer": answer, "error": error, "away": away}


def _reason(response: httpx.Response) -> str:
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = response.text[:200]
    return f"HTTP {response.status_code}: {message}"
