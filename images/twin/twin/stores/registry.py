"""The model registry: versions of registered models, and the aliases that say what serves.

Talks to MLflow by `twin.stores.mlflow_rest`, without its Python client.

Weights never pass through MLflow. A version's source is a small manifest among its run's
artifacts, and its tags say where the weights are and what they hash to.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from twin.domain.errors import BadDataError
from twin.stores.mlflow_connection import mlflow_client, mlflow_errors, ui_url
from twin.stores.mlflow_rest import AlreadyExistsError, MlflowRest

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

#: After a model's name: where training registers, if trainers may not touch the model itself
#: (TWIN_SEPARATE_CANDIDATES). MLflow's right to edit a model covers versions and aliases alike, so
#: what a trainer may not promote has to be another model. No recipe's name ends so.
CANDIDATES_SUFFIX = "-candidates"

WEIGHTS_URI = "weights_uri"
WEIGHTS_DIGEST = "weights_digest"
#: Tag of a version whose weights are garbage that was collected: when (ISO 8601).
WEIGHTS_DELETED = "weights_deleted"
MANIFEST_FOLDER = "model"

#: Tags that a version's page shows, and what it calls them.
_LINEAGE_WORDS = {
    "base_model": "Base model",
    "weights": "Kind of weights",
    "form": "Made of the trained twin",
    "pruned_to": "What pruning left",
    "recipe": "Recipe",
    "recipe_digest": "Digest of the recipe",
    "dataset_version": "Samples",
    "code_version": "Commit",
    TRIAL: "Trial with",
}

#: Tags that a version takes along from the model of candidates. A verdict is none of them: it is
#: for the gate alone to write.
_TAKEN_ALONG = frozenset(
    {
        *_LINEAGE_WORDS,
        WEIGHTS_URI,
        WEIGHTS_DIGEST,
        "index_fingerprint",
        "base_digest",
        "base_uri",
        "prompt_version",
        "prompt_digest",
        "adapter",
        "canaries",
    }
)

_PAGE = 100

log = structlog.get_logger("twin")


@dataclass(frozen=True)
class ModelVersion:
    """A registered version: which weights, which run made it and when, its lineage (``tags``)."""

    name: str
    version: str
    weights_uri: str
    weights_digest: str
    run_id: str
    tags: dict[str, str] = field(default_factory=dict)
    created: datetime | None = field(default=None, compare=False)


class Registry(MlflowRest):
    """Registered models and their aliases.

    Every method raises `TryAgainError` if the server does not answer or fails, and
    `BadConfigurationError` if it refuses the credentials. Opening one makes no connection.
    """

    def register(
        self,
        name: str,
        *,
        weights_uri: str,
        weights_digest: str,
        run_id: str,
        tags: Mapping[str, str],
    ) -> ModelVersion:
        """Register weights as a version of `offered`, and point the alias ``candidate`` at it.

        Weights with the same digest are the same version: registering them again moves the alias,
        so a job killed half-way may simply run again, and notes where the weights are now (the
        file store may have moved).

        Raises:
            BadDataError: MLflow refuses the name, a tag, or does not know the run.
        """
        name = self.offered(name)
        found = self.by_digest(name, weights_digest)
        if found is None:
            lineage = {**tags, WEIGHTS_URI: weights_uri, WEIGHTS_DIGEST: weights_digest}
            found = self._create(name, run_id, lineage)
            log.info("registered", model=name, version=found.version, weights=weights_uri)
        elif found.weights_uri != weights_uri:
            found = self._moved(found, {**tags, WEIGHTS_URI: weights_uri})
        if WEIGHTS_DELETED in found.tags:  # they are there again
            body = {"name": name, "version": found.version, "key": WEIGHTS_DELETED}
            self._send("DELETE", "model-versions/delete-tag", body)
        self._set_alias(name, CANDIDATE, found.version)
        return found

    def offered(self, name: str) -> str:
        """The registered model that training registers in, for the model ``name``."""
        return f"{name}{CANDIDATES_SUFFIX}" if self._settings.separate_candidates else name

    def take_candidate(self, name: str) -> ModelVersion | None:
        """The version of ``name`` that waits for the gate; None if there is none.

        Where training registers in a model of its own, its newest version is copied into ``name``
        first (as MLflow's ``copy_model_version`` does), once for the same weights, and the alias
        ``candidate`` moves to it. Its lineage goes along, and nothing that passes for a verdict.

        Raises:
            BadConfigurationError: these credentials may not edit ``name``.
        """
        offered = self.by_alias(self.offered(name), CANDIDATE)
        if offered is None or offered.name == name:
            return offered
        taken = self.by_digest(name, offered.weights_digest) or self._copy(offered, name)
        self._set_alias(name, CANDIDATE, taken.version)
        return taken

    def by_alias(self, name: str, alias: str) -> ModelVersion | None:
        """The version that ``alias`` points at; None if the model or the alias is not there."""
        found = self._get("registered-models/alias", name=name, alias=alias)
        return None if found is None else _parse(found["model_version"])

    def aliases(self, name: str) -> dict[str, str]:
        """Alias to version, of a model; empty if there is no such model."""
        found = self._get("registered-models/get", name=name) or {}
        aliases = found.get("registered_model", {}).get("aliases", [])
        return {str(each["alias"]): str(each["version"]) for each in aliases}

    def version(self, name: str, version: str) -> ModelVersion | None:
        """One version by its number; None if it is not there."""
        found = self._get("model-versions/get", name=name, version=version)
        return None if found is None else _parse(found["model_version"])

    def by_digest(self, name: str, digest: str) -> ModelVersion | None:
        """The oldest version of ``name`` with these weights; None if there is none."""
        query = f"name = '{name}' AND tags.{WEIGHTS_DIGEST} = '{digest}'"
        page = self._get("model-versions/search", filter=query, order_by="version_number ASC") or {}
        versions = page.get("model_versions", [])
        return _parse(versions[0]) if versions else None

    def promote(self, name: str, version: str) -> None:
        """Make ``version`` the champion and the old champion ``previous``.

        ``previous`` is set first: killed in between, the old champion still serves and running
        again completes the move. Promoting the champion changes nothing. Where there is no
        ``reference`` yet, it is the champion that was, or the first one.

        Raises:
            BadDataError: there is no such version, or its weights are deleted.
        """
        found = self.version(name, version)
        if found is None:
            page = f"{ui_url(self._settings)}/#/models/{name}"
            raise BadDataError(f"{name} has no version {version}: see {page}")
        if deleted := found.tags.get(WEIGHTS_DELETED):
            raise BadDataError(
                f"the weights of version {version} of {name} were deleted on {deleted[:10]}: "
                "train it again with its recipe"
            )
        champion = self.by_alias(name, CHAMPION)
        if champion is not None and champion.version == version:
            return
        if self.by_alias(name, REFERENCE) is None:
            self._set_alias(name, REFERENCE, champion.version if champion else version)
        if champion is not None:
            self._set_alias(name, PREVIOUS, champion.version)
        self._set_alias(name, CHAMPION, version)
        log.info("promoted", model=name, version=version)

    def restore_champion(self, name: str, version: str, *, failed: str) -> bool:
        """Make ``version`` the champion again if ``failed`` still is; returns whether it was.

        ``previous`` stays: nothing was promoted.

        Raises:
            BadDataError: there is no such version.
        """
        champion = self.by_alias(name, CHAMPION)
        if champion is None or champion.version != failed:
            return False
        self._set_alias(name, CHAMPION, version)
        log.info("champion restored", model=name, version=version, failed=failed)
        return True

    def refer_to(self, name: str, version: str) -> None:
        """Make ``version`` the reference champion.

        Raises:
            BadDataError: there is no such version.
        """
        self._set_alias(name, REFERENCE, version)
        log.info("reference champion", model=name, version=version)

    def models(self) -> list[str]:
        """Names of the registered models of this system that may be served, sorted."""
        query = {"filter": f"name LIKE '{MODEL_PREFIX}%'"}
        found = self._search("registered-models", **query)
        names = (str(model["name"]) for model in found)
        return sorted(name for name in names if not name.endswith(CANDIDATES_SUFFIX))

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

    def note_deleted(self, name: str, version: str, when: datetime) -> None:
        """Say on a version that its weights are being deleted: it can't be promoted any more.

        Raises:
            BadDataError: there is no such version.
        """
        self.tag(name, version, WEIGHTS_DELETED, when.isoformat(timespec="seconds"))

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

    def _copy(self, offered: ModelVersion, name: str) -> ModelVersion:
        self._create_model(name)
        tags = {key: value for key, value in offered.tags.items() if key in _TAKEN_ALONG}
        body = {
            "name": name,
            "source": f"models:/{offered.name}/{offered.version}",
            "run_id": offered.run_id,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        taken = _parse(self._post("model-versions/create", body)["model_version"])
        log.info(
            "copied", model=name, version=taken.version, of=f"{offered.name} {offered.version}"
        )
        self.describe(taken)
        return taken

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
        except AlreadyExistsError:
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
        created=_moment(version.get("creation_timestamp")),
    )


def _moment(milliseconds: Any) -> datetime | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None
