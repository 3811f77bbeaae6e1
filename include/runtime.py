"""Where jobs run and where their results lie: section ``[twin]`` of Airflow's configuration.

Every option can be given in the environment as ``AIRFLOW__TWIN__<OPTION>``. It is read when a
task runs, so one serialised DAG serves a laptop and a cluster; a DAG being parsed learns of it
only which profiles there are.
"""

import os
import re
import urllib.parse
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
)

#: The folder that holds ``dags``, ``include`` and ``plugins``.
PROJECT = Path(__file__).resolve().parent.parent

#: The pod templates that come with the DAGs.
PROFILES = PROJECT / "include" / "profiles"

#: Variables of Airflow's own processes that a job must not see: they carry the credentials of
#: Airflow's database and API, and the Python path of another environment.
_AIRFLOWS_OWN = ("AIRFLOW", "_AIRFLOW", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Mode(StrEnum):
    """What a job runs in."""

    LOCAL = "local"
    KUBERNETES = "kubernetes"


class Runtime(BaseModel):
    """The options of section ``[twin]``."""

    model_config = ConfigDict(frozen=True)

    runtime: Mode = Mode.LOCAL
    """``local``: child processes; ``kubernetes``: pods."""

    jobs_bin: Path | None = None
    """Folder of the `twin` command for local jobs; unset means the one on PATH."""

    namespace: str = "twin-jobs"
    """Kubernetes namespace of the pods; Airflow needs rights in no other."""

    image_repository: str = "llm-twin"
    """Registry and path before the image's name, e.g. an ECR address."""

    image_tag: str = "dev"
    """Tag of all job images; a deployment names the release it was made with."""

    image_digests: dict[str, str] = {}
    """Digests that go before the tag, as ``crawl=sha256:…, features=sha256:…``: a digest cannot
    be moved to another image, so what was tested and scanned is what runs."""

    profiles: Path = PROFILES
    """Folder of the pod templates that a cluster has of its own, changed to fit its nodes; others
    are those that come with the DAGs."""

    recipes: Path = PROJECT / "include" / "recipes"
    """Folder of the recipes; the same ones as in the jobs' TWIN_RECIPES. Read once a process."""

    gpus: bool = True
    """Whether the cluster has GPU nodes; without them, jobs that ask for GPUs take ``cpu``."""

    models_claim: str | None = None
    """PersistentVolumeClaim (ReadWriteMany) in `namespace` of the models that jobs keep: each is
    then fetched once for all of them. Unset: every pod keeps its own."""

    models_bytes: PositiveInt = 64_000_000_000
    """What is kept there of base models, and as much again of versions' weights."""

    files_uri: str = (PROJECT / ".twin" / "files").as_uri()
    """Folder or bucket of results: the same store as the jobs' TWIN_FILES_URI. A bucket may
    name the Airflow connection to reach it with: ``s3://aws_default@bucket/prefix``."""

    mlflow_url: str = "http://127.0.0.1:5100"
    """Model registry that the champion is looked up in."""

    registry_webhook_secret: SecretStr | None = Field(default=None, min_length=32)
    """What the model registry signs its webhook with, the same as the jobs'
    TWIN_REGISTRY_WEBHOOK_SECRET; unset means that no webhook is taken. At least 32 characters."""

    mlflow_ui_url: str | None = None
    """MLflow as people's browsers reach it; unset means ``mlflow_url`` without credentials."""

    endpoint_url: str = "http://127.0.0.1:8000"
    """Where the twin answers, as Airflow reaches it."""

    chat_url: str | None = None
    """The page on which people talk to the twin, as their browsers reach it; unset means
    ``endpoint_url``."""

    nightly_recipes: Annotated[tuple[str, ...], "comma-separated"] = ()
    """Recipes of the nightly crawl; unset means the default of the crawl's form."""

    alert_connection: str | None = None
    """Airflow connection that failures are reported to; see `include.alerts`."""

    @field_validator("nightly_recipes", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @field_validator("image_digests", mode="before")
    @classmethod
    def _split_digests(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [pair.strip().partition("=") for pair in value.split(",") if pair.strip()]
        for target, _, digest in pairs:
            if not _DIGEST.fullmatch(digest):
                raise ValueError(
                    f"{target!r} needs a digest: sha256: and 64 hex digits, as in crawl=sha256:…"
                )
        return {target.strip(): digest for target, _, digest in pairs}

    @field_validator("files_uri")
    @classmethod
    def _as_uri(cls, value: str) -> str:
        uri = value if "://" in value else Path(value).resolve().as_uri()
        return uri.rstrip("/")

    @property
    def links(self) -> dict[str, str]:
        """Addresses for people, by what lies there: without credentials."""
        return {
            "MLflow": without_credentials(self.mlflow_ui_url or self.mlflow_url),
            "Chat": without_credentials(self.chat_url or self.endpoint_url),
        }

    def image(self, target: str, variant: str | None = None) -> str:
        """Reference of the job image that was built from this target of the Dockerfile.

        Args:
            target: name of the target.
            variant: kind of the build, such as ``cuda``; None means for processors.
        """
        image = f"{target}-{variant}" if variant else target
        name = f"{self.image_repository.rstrip('/')}/{image}"
        digest = self.image_digests.get(image)
        return f"{name}@{digest}" if digest else f"{name}:{self.image_tag}"

    def profile(self, name: str) -> Path:
        """File of the pod template that jobs of this profile take on this cluster."""
        if name.startswith("gpu") and not self.gpus:
            name = "cpu"
        own = self.profiles / f"{name}.yaml"
        return own if own.is_file() else PROFILES / f"{name}.yaml"

    def profile_names(self) -> list[str]:
        """Names of all pod templates that there are on this cluster."""
        folders = (self.profiles, PROFILES)
        return sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})

    def result_uri(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
        """Where the job of this task leaves its result, as Airflow's object storage names it."""
        run = urllib.parse.quote(run_id, safe="+:")
        return f"{self.files_uri}/results/{dag_id}/{run}/{task_id}-{map_index}.json"


#: Options that no error may show.
_SECRETS = frozenset({"registry_webhook_secret"})


def read_runtime() -> Runtime:
    """The options as they stand now.

    Raises:
        AirflowConfigException: in one line, naming the option and what it may be.
    """
    from airflow.sdk.configuration import conf
    from airflow.sdk.exceptions import AirflowConfigException

    given: dict[str, Any] = {}
    for option in Runtime.model_fields:
        value = conf.get("twin", option, fallback=None)
        if value not in (None, ""):
            given[option] = value
    try:
        return Runtime.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = str(first["loc"][0])
        shown = "" if option in _SECRETS else f" = {given[option]!r}"
        raise AirflowConfigException(
            f"[twin] {option} (AIRFLOW__TWIN__{option.upper()}){shown}: {first['msg']}"
        ) from None


def without_credentials(url: str) -> str:
    """An address that may be shown."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def as_jobs_see_it(uri: str) -> str:
    """A URI of Airflow's object storage as the jobs' fsspec takes it.

    A local file becomes a plain path (results are then renamed into place), and the Airflow
    connection that a bucket's URI may name is left out.
    """
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme == "file":
        return urllib.parse.unquote(parts.path)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def child_environment(runtime: Runtime, explicit: Mapping[str, str]) -> dict[str, str]:
    """Environment of a job that runs as a child process.

    Args:
        runtime: names the folder of the `twin` command, which goes first on PATH.
        explicit: variables that the pod's container sets; they win.
    """
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(_AIRFLOWS_OWN)
    }
    if runtime.jobs_bin:
        inherited["PATH"] = os.pathsep.join(
            [str(runtime.jobs_bin), inherited.get("PATH", os.defpath)]
        )
    return {**inherited, **explicit}
