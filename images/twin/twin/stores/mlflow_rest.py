"""MLflow's documented REST API (https://mlflow.org/docs/latest/rest-api.html) over httpx.

Instead of `mlflow.MlflowClient`: importing that takes about four seconds, which is more than a job
with nothing to do may last in all, and not every image has it.
"""

import json
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.settings import Settings
from twin.stores.mlflow_connection import HTTP_TIMEOUT_SECONDS, refused, shown_url, unreachable

API = "/api/2.0/mlflow"

_TIMEOUT = httpx.Timeout(HTTP_TIMEOUT_SECONDS, connect=3.0)
_CONNECT_RETRIES = 2
_RUNS_OF_A_PAGE = 1_000


class MlflowRest:
    """A connection to MLflow's server.

    Every method raises `TryAgainError` if the server does not answer or fails, and
    `BadConfigurationError` if it refuses the credentials. Opening one makes no connection.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        auth = None
        if settings.mlflow_username and settings.mlflow_password:
            auth = (settings.mlflow_username, settings.mlflow_password.get_secret_value())
        self._http = httpx.Client(
            base_url=settings.mlflow_tracking_uri,
            timeout=_TIMEOUT,
            transport=httpx.HTTPTransport(retries=_CONNECT_RETRIES),
            auth=auth,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _get(self, path: str, **query: str) -> dict[str, Any] | None:
        try:
            return self._call("GET", path, params=query)
        except NotFoundError:
            return None

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._send("POST", path, body)

    def _send(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._call(method, path, json=body)
        except NotFoundError as error:
            raise BadDataError(str(error)) from None

    def _search_runs(self, experiment: str, **body: Any) -> Iterator[dict[str, Any]]:
        """Runs of an experiment, by its name; one that is not there has none."""
        found = self._get("experiments/get-by-name", experiment_name=experiment)
        if found is None:
            return
        body |= {
            "experiment_ids": [found["experiment"]["experiment_id"]],
            "max_results": _RUNS_OF_A_PAGE,
        }
        while True:
            page = self._post("runs/search", body)
            yield from page.get("runs", [])
            if not page.get("next_page_token"):
                return
            body["page_token"] = page["next_page_token"]

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        return _json(self._request(method, path, **arguments), self._settings)

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        url = path if path.startswith("/") else f"{API}/{path}"
        try:
            response = self._http.request(method, url, **arguments)
        except httpx.TransportError as error:
            raise TryAgainError(unreachable(self._settings, type(error).__name__)) from None
        except httpx.InvalidURL:
            raise BadConfigurationError(
                f"TWIN_MLFLOW_TRACKING_URI: {shown_url(self._settings)!r} is no URL"
            ) from None
        if response.is_success:
            return response
        raise _failure(response, self._settings)


class NotFoundError(Exception):
    """MLflow knows no such thing."""


class AlreadyExistsError(Exception):
    """MLflow has one of that name already."""


def tags_of(run: Mapping[str, Any]) -> dict[str, str]:
    """Tags of a run as MLflow tells of it."""
    return {tag["key"]: tag.get("value", "") for tag in run.get("data", {}).get("tags", [])}


def _failure(response: httpx.Response, settings: Settings) -> Exception:
    if response.status_code in {401, 403}:
        return BadConfigurationError(refused(settings))
    if response.status_code == 429 or response.status_code >= 500:
        return TryAgainError(
            f"MLflow at {shown_url(settings)} failed with HTTP {response.status_code}: "
            "see its log, then run this again"
        )
    body = _json(response, settings)
    code, message = body.get("error_code", ""), body.get("message", response.reason_phrase)
    # An alias that is not set is an invalid parameter to MLflow, not a missing resource.
    unset_alias = "alias" in message.lower() and "not found" in message.lower()
    if code == "RESOURCE_DOES_NOT_EXIST" or unset_alias:
        return NotFoundError(message)
    if code == "RESOURCE_ALREADY_EXISTS":
        return AlreadyExistsError(message)
    if "IntegrityError" in message:  # its database, when two set the same alias at once
        return TryAgainError("MLflow was changed by another process at the same moment")
    return BadDataError(f"MLflow refuses the request: {' '.join(message.split())}")


def _json(response: httpx.Response, settings: Settings) -> dict[str, Any]:
    try:
        body = response.json()
    except json.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise BadConfigurationError(
            f"what answers at {shown_url(settings)} is not MLflow: check TWIN_MLFLOW_TRACKING_URI"
        )
    return body
