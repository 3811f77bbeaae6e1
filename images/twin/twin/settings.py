"""Where the stores are and how to reach them: the one place that reads the environment.

Every setting is ``TWIN_<NAME>`` in the environment. The defaults are those of a laptop after
``make up``; a cluster sets them from ConfigMaps and Secrets.
"""

from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import SecretStr, ValidationError
from pydantic.functional_validators import field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from twin.domain.errors import BadConfigurationError


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

    index_url: str | None = None
    """URL of a Qdrant server; unset means the embedded index under ``home``."""
    index_api_key: SecretStr | None = None

    files_uri: str | None = None
    """Folder or bucket (``s3://bucket/prefix``) of data sets, models and results;
    unset means ``home/files``."""

    mlflow_tracking_uri: str = "http://127.0.0.1:5100"
    """Tracking server and model registry."""

    serve_api_url: str = "http://127.0.0.1:8265"
    """Ray's dashboard, which carries the Serve REST API."""
    endpoint_url: str = "http://127.0.0.1:8000"
    """Where the twin answers."""
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Keys that callers of the endpoint may present, comma-separated."""

    models: Path | None = None
    """Folder of prepared base models; unset means ``home/models``."""

    code_version: str = "unknown"
    """Git commit or image digest of this code, recorded with every model."""

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(SecretStr(key.strip()) for key in value.split(",") if key.strip())
        return value

    @property
    def files_root(self) -> str:
        """`files_uri`, or the folder under `home` as an absolute path."""
        return (self.files_uri or str(self.home.resolve() / "files")).rstrip("/")

    @property
    def models_root(self) -> Path:
        """Folder of prepared base models, absolute."""
        return (self.models or self.home / "models").resolve()

    @property
    def index_root(self) -> Path:
        """Folder of the embedded index, absolute."""
        return self.home.resolve() / "index"


@cache
def get_settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        BadConfigurationError: a variable holds something else than its setting allows.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "TWIN_" + "_".join(str(part) for part in first["loc"]).upper()
        raise BadConfigurationError(f"environment variable {name}: {first['msg']}") from None
