"""The model registry: versions of registered models, and the aliases that say what serves.

Talks to MLflow's documented REST API (https://mlflow.org/docs/latest/rest-api.html) over httpx
instead of through `mlflow.MlflowClient`: importing that takes about four seconds, which is more
than a job with nothing to do may last in all.

Weights never pass through MLflow. A version's source is a small manifest among its run's
artifacts, and its tags say where the weights are and what they hash to.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

import httpx
import structlog

from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.settings import Settings
from twin.stores.mlflow_connection import (
    HTTP_TIMEOUT_SECONDS,
    mlflow_client,
    mlflow_errors,
    refused,
    shown_url,
    ui_url,
    unreachable,
)

#: Aliases of a registered model.
CANDIDATE = "candidate"
CHAMPION = "champion"
PREVIOUS = "previous"
#: The champion by which losses over many promotions are added up: the first, until a person moves
#: the alias (`twin evaluation reference`).
REFERENCE = "reference"

#: Tag of a version that was trained with other values than its recipe's, which it names. Such a
#: version is measured like any other, and promoted by a person only.
TRIAL = "trial"

#: Registered models of this system start so (`Recipe.model_name`); others are left alone.
MODEL_PREFIX = "twin-"

WEIGHTS_URI = "weights_uri"
WEIGHTS_DIGEST = "weights_digest"
MANIFEST_FOLDER = "model"

#: Tags that a version's page shows, and what it calls them.
_LINEAGE_WORDS = {
    "base_model": "Base model",
    "weights": "Kind of weights",
    "recipe": "Recipe",
    "recipe_digest": "Digest of the recipe",
    "dataset_version": "Samples",
    "code_version": "Commit",
    TRIAL: "Trial with",
}

_API = "/api/2.0/mlflow"
_TIMEOUT = httpx.Timeout(HTTP_TIMEOUT_SECONDS, connect=3.0)
_CONNECT_RETRIES = 2
_PAGE = 100

log = structlog.get_logger("twin")


@dataclass(frozen=True)
class ModelVersion:
    """A registered version: which weights, made by which run, with what lineage (``tags``)."""

    name: str
    version: str
    weights_uri: str
    weights_digest: str
    run_id: str
    tags: dict[str, str] = field(default_factory=dict)


class Registry:
    """Registered models and their aliases.

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

    def register(
        self,
        name: str,
        *,
        weights_uri: str,
        weights_digest: str,
        run_id: str,
        tags: Mapping[str, str],
    ) -> ModelVersion:
        """Register weights as a version of ``name`` and point the alias ``candidate`` at it.

        Weights with the same digest are the same version: registering them again moves the alias,
        so a job killed half-way may simply run again, and notes where the weights are now (the
        file store may have moved).

        Raises:
            BadDataError: MLflow refuses the name, a tag, or does not know the run.
        """
        found = self._by_digest(name, weights_digest)
        if found is None:
            lineage = {**tags, WEIGHTS_URI: weights_uri, WEIGHTS_DIGEST: weights_digest}
            found = self._create(name, run_id, lineage)
            log.info("registered", model=name, version=found.version, weights=weights_uri)
        elif found.weights_uri != weights_uri:
            found = self._moved(found, {**tags, WEIGHTS_URI: weights_uri})
        self._set_alias(name, CANDIDATE, found.version)
        return found

    def by_alias(self, name: str, alias: str) -> ModelVersion | None:
        """The version that ``alias`` points at; None if the model or the alias is not there."""
        found = self._get("registered-models/alias", name=name, alias=alias)
        return None if found is None else _parse(found["model_version"])

    def version(self, name: str, version: str) -> ModelVersion | None:
        """One version by its number; None if it is not there."""
        found = self._get("model-versions/get", name=name, version=version)
        return None if found is None else _parse(found["model_version"])

    def promote(self, name: str, version: str) -> None:
        """Make ``version`` the champion and the old champion ``previous``.

        ``previous`` is set first: killed in between, the old champion still serves and running
        again completes the move. Promoting the champion changes nothing. Where there is no
        ``reference`` yet, it is the champion that was, or the first one.

        Raises:
            BadDataError: there is no such version.
        """
        if self.version(name, version) is None:
            page = f"{ui_url(self._settings)}/#/models/{name}"
            raise BadDataError(f"{name} has no version {version}: see {page}")
        champion = self.by_alias(name, CHAMPION)
        if champion is not None and champion.version == version:
            return
        if self.by_alias(name, REFERENCE) is None:
            self._set_alias(name, REFERENCE, champion.version if champion else version)
        if champion is not None:
            self._set_alias(name, PREVIOUS, champion.version)
        self._set_alias(name, CHAMPION, version)
        log.info("promoted", model=name, version=version)

    def refer_to(self, name: str, version: str) -> None:
        """Make ``version`` the reference champion.

        Raises:
            BadDataError: there is no such version.
        """
        self._set_alias(name, REFERENCE, version)
        log.info("reference champion", model=name, version=version)

    def models(self) -> list[str]:
        """Names of the registered models of this system, sorted."""
        query = {"filter": f"name LIKE '{MODEL_PREFIX}%'"}
        found = self._search("registered-models", **query)
        return sorted(model["name"] for model in found)

    def versions(self, name: str) -> list[ModelVersion]:
        """All versions of a model, oldest first; none if there is no such model."""
        found = self._search("model-versions", filter=f"name = '{name}'")
        return sorted((_parse(item) for item in found), key=lambda item: int(item.version))

    def _search(self, kind: str, **query: str) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            page = {**query, "max_results": str(_PAGE), **({"page_token": token} if token else {})}
            answer = self._get(f"{kind}/search", **page) or {}
            yield from answer.get(kind.replace("-", "_"), [])
            token = answer.get("next_page_token", "")
            if not token:
                return

    def tag(self, name: str, version: str, key: str, value: str) -> None:
        """Set a tag of a version; the same key again overwrites it.

        Raises:
            BadDataError: there is no such version.
        """
        body = {"name": name, "version": version, "key": key, "value": value}
        self._post("model-versions/set-tag", body)

    def describe(self, version: ModelVersion, verdict: str = "") -> None:
        """Say on the version's page what it was made of, and below that its ``verdict``.

        Args:
            version: a registered version, with its lineage as tags.
            verdict: Markdown: what an evaluation found.

        Raises:
            BadDataError: there is no such version.
        """
        rows = {"Weights": version.weights_uri} | {
            word: version.tags[tag] for tag, word in _LINEAGE_WORDS.items() if tag in version.tags
        }
        lineage = "\n".join(f"- {word}: `{value}`" for word, value in rows.items())
        body = {
            "name": version.name,
            "version": version.version,
            "description": f"{lineage}\n\n{verdict}".strip(),
        }
        self._send("PATCH", "model-versions/update", body)

    def version_url(self, name: str, version: str) -> str:
        """The version's page in MLflow's web UI."""
        return f"{ui_url(self._settings)}/#/models/{name}/versions/{version}"

    def _by_digest(self, name: str, digest: str) -> ModelVersion | None:
        query = f"name = '{name}' AND tags.{WEIGHTS_DIGEST} = '{digest}'"
        page = self._get("model-versions/search", filter=query, order_by="version_number ASC") or {}
        versions = page.get("model_versions", [])
        return _parse(versions[0]) if versions else None

    def _create(self, name: str, run_id: str, tags: Mapping[str, str]) -> ModelVersion:
        self._create_model(name)
        self._log_manifest(run_id, {"name": name, **tags})
        body = {
            "name": name,
            "source": f"runs:/{run_id}/{MANIFEST_FOLDER}",
            "run_id": run_id,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        return _parse(self._post("model-versions/create", body)["model_version"])

    def _moved(self, version: ModelVersion, tags: Mapping[str, str]) -> ModelVersion:
        """``version`` with the URIs among ``tags`` as its own."""
        uris = {key: value for key, value in tags.items() if key.endswith("_uri")}
        for key, value in uris.items():
            self.tag(version.name, version.version, key, value)
        log.info("weights have moved", model=version.name, version=version.version, **uris)
        return replace(version, weights_uri=uris[WEIGHTS_URI], tags={**version.tags, **uris})

    def _create_model(self, name: str) -> None:
        try:
            self._post("registered-models/create", {"name": name})
        except _AlreadyExistsError:
            log.debug("registered model is there already", model=name)

    def _log_manifest(self, run_id: str, manifest: Mapping[str, str]) -> None:
        # Only here is MLflow's own client needed: it knows every kind of artifact store.
        with mlflow_errors(self._settings):
            mlflow_client(self._settings).log_text(
                run_id,
                json.dumps(manifest, indent=2, sort_keys=True) + "\n",
                f"{MANIFEST_FOLDER}/manifest.json",
            )

    def _set_alias(self, name: str, alias: str, version: str) -> None:
        body = {"name": name, "alias": alias, "version": version}
        self._post("registered-models/alias", body)

    def _get(self, path: str, **query: str) -> dict[str, Any] | None:
        try:
            return self._call("GET", path, params=query)
        except _NotFoundError:
            return None

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._send("POST", path, body)

    def _send(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._call(method, path, json=body)
        except _NotFoundError as error:
            raise BadDataError(str(error)) from None

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        try:
            response = self._http.request(method, f"{_API}/{path}", **arguments)
        except httpx.TransportError as error:
            raise TryAgainError(unreachable(self._settings, type(error).__name__)) from None
        except httpx.InvalidURL:
            raise BadConfigurationError(
                f"TWIN_MLFLOW_TRACKING_URI: {shown_url(self._settings)!r} is no URL"
            ) from None
        if response.is_success:
            return _json(response, self._settings)
        raise _failure(response, self._settings)


class _NotFoundError(Exception):
    """MLflow knows no such model, version or alias."""


class _AlreadyExistsError(Exception):
    """MLflow has one of that name already."""


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
        return _NotFoundError(message)
    if code == "RESOURCE_ALREADY_EXISTS":
        return _AlreadyExistsError(message)
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


def _parse(version: Mapping[str, Any]) -> ModelVersion:
    tags = {tag["key"]: tag.get("value", "") for tag in version.get("tags", [])}
    missing = [key for key in (WEIGHTS_URI, WEIGHTS_DIGEST) if not tags.get(key)]
    if missing:
        raise BadDataError(
            f"version {version['version']} of {version['name']} has no tag {missing[0]!r}: "
            "it was not registered by `twin training package`; point the alias at one that was"
        )
    return ModelVersion(
        name=version["name"],
        version=str(version["version"]),
        weights_uri=tags[WEIGHTS_URI],
        weights_digest=tags[WEIGHTS_DIGEST],
        run_id=version.get("run_id", ""),
        tags=tags,
    )
