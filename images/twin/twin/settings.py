"""Where the stores are and how to reach them: the one place that reads the environment.

Every setting is ``TWIN_<NAME>`` in the environment. The defaults are those of a laptop after
``make up``; a cluster sets them from ConfigMaps and Secrets.
"""

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic.functional_validators import field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from twin.domain.errors import BadConfigurationError

S = TypeVar("S", bound=BaseSettings)


@cache
def checkout_version() -> str:
    """The checkout that this code runs from, as tag, commit and "-dirty"; else "unknown"."""
    command = ["git", "describe", "--tags", "--always", "--dirty"]
    try:
        found = subprocess.run(  # noqa: S603 - fixed words
            command,
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip() or "unknown"


class Settings(BaseSettings):
    """Addresses and credentials. Secrets are `SecretStr`, so no log or error shows them."""

    model_config = SettingsConfigDict(env_prefix="TWIN_", extra="ignore", frozen=True)

    home: Path = Path(".twin")
    """Folder of the embedded stores, models and logs."""

    recipes: Path = Path("include/recipes")
    """Folder in which ``--recipe NAME`` is looked up."""

    mongo_uri: SecretStr = SecretStr(
        "mongodb://127.0.0.1:27117/?journal=true&directConnection=true&serverSelectionTimeoutMS=5000"
    )
    mongo_database: str = "twin"

    chromium: Path = Path("/usr/bin/chromium")
    """Browser for sources that say ``javascript: true``."""
    browser_url: str | None = Field(default=None, pattern=r"^https?://[^/\s]+")
    """Chromium that runs apart (``twin crawl browser``), such as http://127.0.0.1:9222; unset means
    that a crawl starts `chromium` itself."""

    index_url: str | None = None
    """URL of a Qdrant server; unset means the embedded index under ``home``."""
    index_api_key: SecretStr | None = None

    files_uri: str | None = None
    """Folder or bucket (``s3://bucket/prefix``) of data sets, models and results;
    unset means ``home/files``."""
    snapshots_uri: str | None = None
    """Folder or bucket of the raw pages that crawls have fetched (WARC files);
    unset means ``snapshots`` among the files."""

    databases: Annotated[dict[str, SecretStr], NoDecode] = {}
    """SQL databases that backups hold too, as a JSON object of names and addresses:
    ``{"mlflow": "postgresql://USER:PASSWORD@HOST/NAME", "airflow": "sqlite:////ABSOLUTE/PATH"}``."""

    mlflow_tracking_uri: str = "http://127.0.0.1:5100"
    """Tracking server and model registry."""
    separate_candidates: bool = False
    """Whether training registers versions in a model of its own, ``twin-NAME-candidates``, from
    which the gate takes them: then a trainer whose user in MLflow may edit that one alone can
    promote nothing (``twin evaluation separate``). The same for all jobs."""
    mlflow_ui_url: str | None = None
    """MLflow as people's browsers reach it; unset means ``mlflow_tracking_uri``."""
    mlflow_username: str | None = None
    mlflow_password: SecretStr | None = None
    """Basic auth of MLflow, when its server asks for it."""
    registry_webhook_secret: SecretStr | None = Field(default=None, min_length=32)
    """What MLflow signs with when it tells Airflow that an alias has moved (``twin rollout
    webhook``); the same as AIRFLOW__TWIN__REGISTRY_WEBHOOK_SECRET. At least 32 random
    characters."""

    serve_api_url: str = "http://127.0.0.1:8265"
    """Ray's dashboard, which carries the Serve REST API."""
    endpoint_url: str = "http://127.0.0.1:8000"
    """Where the twin answers."""
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Keys that callers of the endpoint may present, comma-separated: with all rights and without
    limits. A rollout asks with the first. Others are made by ``twin serving keys``."""
    key_requests_per_minute: int = Field(default=120, ge=0)
    """Requests a minute of a key that names no limit of its own; 0 means any number."""
    key_tokens_per_day: int = Field(default=1_000_000, ge=0)
    """Tokens a day (UTC), read and written, of such a key; 0 means any number."""
    key_concurrent_requests: int = Field(default=16, ge=0)
    """Answers that are written for such a key at the same time; 0 means any number."""
    key_background_answers: int = Field(default=100, ge=1)
    """Answers in the background of one key that wait or are under way at the same time."""
    background_at_once: int = Field(default=2, ge=1)
    """Answers in the background that one router replica has written at the same time, so that
    they leave room for callers who wait."""
    webhook_secret: SecretStr | None = Field(default=None, min_length=32)
    """What the secrets of webhooks are made from, one a key (``twin serving keys
    webhook-secret``); unset means that no webhook is taken. At least 32 random characters, the
    same for all replicas."""
    webhook_private: Annotated[tuple[str, ...], NoDecode] = ()
    """Private addresses that webhooks may reach, and by http too: ``host:port``,
    comma-separated."""
    actor: str | None = None
    """Who acts, for the audit log; unset means the user of the operating system."""
    max_body_bytes: int = 1_048_576
    """Largest request body that the endpoint reads."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins of web pages whose scripts may ask the endpoint, comma-separated; * means all."""
    router_replicas: int = 2
    """Processes that take requests in; with one, replacing it interrupts service."""
    ray_cpus: int | None = None
    """CPUs that ``twin serving start`` lets Ray hand out; unset means room for two engines with
    all cores of this machine, which a rollout runs side by side."""
    ray_most_gpus: float | None = None
    """GPUs that Ray's cluster has when its autoscaler has made it as large as it may be; unset
    means that it stays as it is. A rollout that needs more begins nothing."""
    serve_haproxy: bool = True
    """Whether HAProxy takes requests in before the routers; else Ray Serve's own proxy does, at a
    fifth of the requests a second."""
    ray_object_store_bytes: int = 200_000_000
    """Ray's shared memory: only requests and answers pass through it, never weights."""

    vllm_python: Path = Path(".venvs/vllm/bin/python")
    """Python of the environment that has vLLM (``make vllm``); on KubeRay an image has it."""

    ray_service: str | None = None
    """KubeRay's RayService as ``namespace/name``; unset means that Serve runs at
    ``serve_api_url`` and is told directly."""
    kubernetes_api_url: str = "https://kubernetes.default.svc"
    service_account: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    """Folder with ``token`` and ``ca.crt``, as Kubernetes mounts it into every pod."""

    models: Path | None = None
    """Folder of base models and weights on this machine; unset means ``home/models``."""
    model_cache_bytes: int = Field(default=64_000_000_000, gt=0)
    """What this machine keeps of base models, and as much again of versions' weights, where the
    file store is elsewhere; least recently used go first. The default holds an 8B model in bf16
    (16 GB) four times."""
    hub_token: SecretStr | None = None
    """Token for the model hub, sent to it alone; needed by gated and private models."""
    fetch_models: bool = True
    """Whether a job may fetch a base model that the file store lacks. Off where only the job
    `twin models fetch` has a way to the web."""

    gguf_converter: Path = Path(".venvs/convert")
    """Folder of llama.cpp's converter, apart from the other packages since it conflicts with one
    of them."""

    qlora_packages: Path = Path(".venvs/qlora")
    """Folder of bitsandbytes (``make qlora``), apart from the other packages since whatever trains
    would load it, and half of PyTorch's compiler with it, whether it is needed or not."""

    onnx_packages: Path = Path(".venvs/onnx")
    """Folder of onnxruntime and its builder of language models (``make onnx``), apart from the
    other packages since only `twin export` needs it, for formats that few ask for."""

    abilities_packages: Path = Path(".venvs/abilities")
    """Folder of lm-eval (``make abilities``), apart from the other packages for its 17,000 files,
    which only recipes with ``evaluation.abilities`` need."""

    contact: str | None = Field(default=None, pattern=r"^[\x21-\x27\x2a-\x7e]+$")
    """E-mail address or URL by which those whose sites are crawled reach you: part of the user
    agent of every crawl."""

    github_token: SecretStr | None = None
    """Token for GitHub's API, which without one answers sixty requests an hour; it needs no
    rights. It is sent to api.github.com only."""

    remote_api_key: SecretStr | None = None
    """Key of the endpoint that ``serving.remote`` of a recipe names."""

    judge_api_key: SecretStr | None = None
    """Key of the endpoint that ``judge`` of a recipe names."""

    teacher_api_key: SecretStr | None = None
    """Key of the endpoint that ``datasets.teacher`` of a recipe names."""

    label_studio_url: str | None = None
    """Label Studio's address, for `twin datasets label`."""
    label_studio_token: SecretStr | None = None
    """Token of one of its users (Account & Settings): a personal access token or a legacy one."""

    threads: int | None = Field(default=None, ge=1)
    """CPU threads of the model libraries; unset means one a core. Set it to the reserved CPUs."""

    gpus: int | None = Field(default=None, ge=1)
    """GPUs that this job was given: training stops where it sees fewer, and runs a process on each
    of several. The profiles of GPU pods set it; unset means whatever is there, and one process."""

    gpu_price_per_hour: float | None = Field(default=None, gt=0)
    """Price of a GPU for an hour (of the machine, where a job has none), in any currency: runs of
    training then say what they have cost so far."""
    gpu_tflops: float | None = Field(default=None, gt=0)
    """Peak of one GPU in dense bf16, in TFLOPS, by which MFU is reckoned; unset means what is known
    of a GPU by its name, and no MFU on processors."""

    code_version: str = Field(default_factory=checkout_version)
    """Git commit or image digest of this code, recorded with every model; unset means what
    ``git describe`` says of the checkout, and "unknown" outside of one."""

    @field_validator("databases", mode="before")
    @classmethod
    def _parse_databases(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value or "{}")
        except ValueError:  # whose own text might show a password
            raise ValueError("not a JSON object of names and addresses") from None

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(SecretStr(key.strip()) for key in value.split(",") if key.strip())
        return value

    @field_validator("cors_origins", "webhook_private", mode="before")
    @classmethod
    def _split_texts(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(text.strip() for text in value.split(",") if text.strip())
        return value

    @property
    def files_root(self) -> str:
        """`files_uri`, or the folder under `home` as an absolute path."""
        return (self.files_uri or str(self.home.resolve() / "files")).rstrip("/")

    @property
    def snapshots_root(self) -> str:
        """`snapshots_uri`, or its place among the files."""
        return (self.snapshots_uri or f"{self.files_root}/snapshots").rstrip("/")

    @property
    def models_root(self) -> Path:
        """Folder of base models and weights on this machine, absolute."""
        return (self.models or self.home / "models").resolve()

    @property
    def overrides(self) -> Path:
        """Folder of what recipes say differently on this machine, one file a recipe."""
        return self.home.resolve() / "overrides"

    @property
    def index_root(self) -> Path:
        """Folder of the embedded index, absolute."""
        return self.home.resolve() / "index"


class LaptopSettings(BaseSettings):
    """Ports and folders of the platform on one machine (``make up``): ``TWIN_LAPTOP_<NAME>``.

    Other than the standard ports where those are often taken (27017, 5000).
    """

    model_config = SettingsConfigDict(env_prefix="TWIN_LAPTOP_", extra="ignore", frozen=True)

    project: Path = Path()
    """The checkout: where ``dags/``, ``plugins/`` and ``include/`` lie."""
    home: Path = Path(".twin")
    """Folder of everything that the platform writes; deleting it starts afresh."""
    airflow_environment: Path = Path(".venvs/airflow")
    """Virtual environment of Airflow (the jobs' own is the one that runs this)."""

    warehouse_port: int = 27117
    mlflow_port: int = 5100
    ray_dashboard_port: int = 8265
    endpoint_port: int = 8000
    airflow_port: int = 8080
    worker_log_port: int = 8793
    triggerer_log_port: int = 8794
    start_timeout_seconds: int = 240
    """Patience with the slowest component; a first start on two busy cores takes over a minute."""


@cache
def get_settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        BadConfigurationError: a variable holds something else than its setting allows.
    """
    return _read(Settings)


@cache
def get_laptop_settings() -> LaptopSettings:
    """The laptop platform's settings, read once.

    Raises:
        BadConfigurationError: a variable holds something else than its setting allows.
    """
    return _read(LaptopSettings)


def inherited_environment() -> dict[str, str]:
    """A copy of this process's environment, for child processes to start from."""
    return dict(os.environ)


def _read(kind: type[S]) -> S:
    try:
        return kind()
    except ValidationError as error:
        first = error.errors()[0]
        prefix = kind.model_config["env_prefix"]
        name = prefix + "_".join(str(part) for part in first["loc"]).upper()
        raise BadConfigurationError(f"environment variable {name}: {first['msg']}") from None
