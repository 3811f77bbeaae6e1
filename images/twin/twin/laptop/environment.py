"""The environment of every process of the laptop platform, composed in one place."""

import hashlib
import json
import secrets
import sys
import tempfile
from pathlib import Path

from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from twin.settings import LaptopSettings, Settings, inherited_environment

#: What production may have put into a shell, which would lead the platform astray.
_NOT_INHERITED = ("TWIN_", "AIRFLOW_", "MLFLOW_")


#: Airflow's own folder of DAGs, by a class that looks at the recipes as well.
DAG_BUNDLES = json.dumps(
    [{"name": "dags-folder", "classpath": "include.recipes_bundle.RecipesBundle", "kwargs": {}}]
)


class Secrets(BaseModel):
    """Keys that the platform makes for itself at its first start."""

    api_key: str = Field(default_factory=lambda: f"twin-{secrets.token_urlsafe(24)}")
    airflow_jwt_secret: str = Field(default_factory=lambda: secrets.token_urlsafe(48))
    airflow_secret_key: str = Field(default_factory=lambda: secrets.token_urlsafe(48))


def load_secrets(home: Path) -> Secrets:
    """Read ``home/secrets.json``, or make it (readable by its owner alone)."""
    path = home / "secrets.json"
    if path.is_file():
        return Secrets.model_validate_json(path.read_text(encoding="utf-8"))
    made = Secrets()
    home.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(made.model_dump_json(indent=2), encoding="utf-8")
    return made


def socket_path(home: Path) -> Path:
    """Control socket of the platform in ``home``.

    In the temporary folder, since a socket's path may have 107 bytes and a checkout's is longer
    at times.
    """
    name = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"twin-{name}.sock"


def platform_environment(laptop: LaptopSettings, keys: Secrets) -> dict[str, str]:
    """Variables of all processes, by name, on top of the inherited ones.

    Airflow settings are those measured to work with SQLite and LocalExecutor; its web UI lets
    everyone in as admin and therefore listens on loopback only.
    """
    return {
        **_inherited(),
        **_platform(laptop),
        **_twin(laptop, keys),
        **_mlflow(),
        **_airflow(laptop, keys),
    }


def _inherited() -> dict[str, str]:
    """This process's environment without addresses of some other platform."""
    return {
        name: value
        for name, value in inherited_environment().items()
        if name.startswith("TWIN_LAPTOP_") or not name.startswith(_NOT_INHERITED)
    }


def _platform(laptop: LaptopSettings) -> dict[str, str]:
    return {
        "TWIN_LAPTOP_SOCKET": str(socket_path(laptop.home)),
        "TWIN_LAPTOP_JOBS_BIN": str(Path(sys.prefix) / "bin"),
        "TWIN_LAPTOP_AIRFLOW_BIN": str(laptop.airflow_environment.resolve() / "bin"),
        "TWIN_LAPTOP_WAREHOUSE_PORT": str(laptop.warehouse_port),
        "TWIN_LAPTOP_MLFLOW_PORT": str(laptop.mlflow_port),
        "TWIN_LAPTOP_AIRFLOW_PORT": str(laptop.airflow_port),
    }


class _OfPlatform(Settings):
    """Settings of which none is read from the environment."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's signature
        init_settings: PydanticBaseSettingsSource,
        *_others: PydanticBaseSettingsSource,
        **_more: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is said here."""
        return (init_settings,)


def jobs_settings(laptop: LaptopSettings, keys: Secrets) -> Settings:
    """The jobs' settings on this platform, whatever this process's own environment says."""
    home = laptop.home.resolve()
    mongo = f"mongodb://127.0.0.1:{laptop.warehouse_port}"
    return _OfPlatform(
        home=home,
        recipes=laptop.project.resolve() / "include" / "recipes",
        gguf_converter=laptop.project.resolve() / ".venvs" / "convert",
        qlora_packages=laptop.project.resolve() / ".venvs" / "qlora",
        onnx_packages=laptop.project.resolve() / ".venvs" / "onnx",
        abilities_packages=laptop.project.resolve() / ".venvs" / "abilities",
        mongo_uri=SecretStr(
            f"{mongo}/?journal=true&directConnection=true&serverSelectionTimeoutMS=5000"
        ),
        files_uri=str(home / "files"),
        databases={
            "airflow": SecretStr(f"sqlite:///{home}/airflow/airflow.db"),
            "mlflow": SecretStr(f"sqlite:///{home}/mlflow.db"),
        },
        mlflow_tracking_uri=f"http://127.0.0.1:{laptop.mlflow_port}",
        serve_api_url=f"http://127.0.0.1:{laptop.ray_dashboard_port}",
        endpoint_url=f"http://127.0.0.1:{laptop.endpoint_port}",
        api_keys=(SecretStr(keys.api_key),),
        webhook_secret=SecretStr(_webhook_secret(keys)),
    )


def _webhook_secret(keys: Secrets) -> str:
    """Of the endpoint's key, so that older platforms have one without a new file of secrets."""
    return hashlib.sha256(f"webhooks {keys.api_key}".encode()).hexdigest()


def _twin(laptop: LaptopSettings, keys: Secrets) -> dict[str, str]:
    settings = jobs_settings(laptop, keys)
    return {
        "TWIN_HOME": str(settings.home),
        "TWIN_RECIPES": str(settings.recipes),
        "TWIN_GGUF_CONVERTER": str(settings.gguf_converter),
        "TWIN_QLORA_PACKAGES": str(settings.qlora_packages),
        "TWIN_ONNX_PACKAGES": str(settings.onnx_packages),
        "TWIN_ABILITIES_PACKAGES": str(settings.abilities_packages),
        "TWIN_MONGO_URI": settings.mongo_uri.get_secret_value(),
        "TWIN_FILES_URI": settings.files_root,
        "TWIN_DATABASES": json.dumps(
            {name: url.get_secret_value() for name, url in settings.databases.items()}
        ),
        "TWIN_MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
        "TWIN_SERVE_API_URL": settings.serve_api_url,
        "TWIN_ENDPOINT_URL": settings.endpoint_url,
        "TWIN_API_KEYS": keys.api_key,
        "TWIN_WEBHOOK_SECRET": _webhook_secret(keys),
    }


def _mlflow() -> dict[str, str]:
    # Without it the server starts about eight more processes for a feature unused here.
    return {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def _mongo_connection(laptop: LaptopSettings) -> str:
    return json.dumps(
        {
            "conn_type": "mongo",
            "host": "127.0.0.1",
            "port": laptop.warehouse_port,
            "schema": "twin",
            "extra": {"directConnection": True},
        }
    )


def _airflow(laptop: LaptopSettings, keys: Secrets) -> dict[str, str]:
    home, project = laptop.home.resolve(), laptop.project.resolve()
    url = f"http://127.0.0.1:{laptop.airflow_port}"
    core = {
        "DAGS_FOLDER": str(project / "dags"),
        "PLUGINS_FOLDER": str(project / "plugins"),
        "LOAD_EXAMPLES": "False",
        "EXECUTOR": "include.local_executor.PreparedLocalExecutor",
        # Thirty seconds are little where training has both cores.
        "DAGBAG_IMPORT_TIMEOUT": "120",
        # Else a form that was stored half a minute ago would not learn of a recipe until its file
        # is read once more.
        "MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
        "PARALLELISM": "3",  # tasks at once; each has a process that waits for it
        "SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "DAGS_ARE_PAUSED_AT_CREATION": "False",
        "EXECUTION_API_SERVER_URL": f"{url}/execution/",
    }
    sections = {
        "CORE": core,
        "DATABASE": {"SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow/airflow.db"},
        "API": {
            "WORKERS": "1",
            "PORT": str(laptop.airflow_port),
            "BASE_URL": url,
            "SECRET_KEY": keys.airflow_secret_key,
        },
        "API_AUTH": {"JWT_SECRET": keys.airflow_jwt_secret},
        "LOGGING": {
            "BASE_LOG_FOLDER": str(home / "logs" / "airflow"),
            "WORKER_LOG_SERVER_PORT": str(laptop.worker_log_port),
            "TRIGGER_LOG_SERVER_PORT": str(laptop.triggerer_log_port),
        },
        # New DAG files and changes of recipes are looked for every five seconds. Known files are
        # read every two minutes only, and when the recipes change.
        "DAG_PROCESSOR": {
            "DAG_BUNDLE_CONFIG_LIST": DAG_BUNDLES,
            "REFRESH_INTERVAL": "5",
            "MIN_FILE_PROCESS_INTERVAL": "120",
            "PARSING_PROCESSES": "1",
        },
        "TWIN": {
            "RUNTIME": "local",
            "JOBS_BIN": str(Path(sys.prefix) / "bin"),
            "FILES_URI": (home / "files").as_uri(),
            "MLFLOW_URL": f"http://127.0.0.1:{laptop.mlflow_port}",
            "ENDPOINT_URL": f"http://127.0.0.1:{laptop.endpoint_port}",
        },
    }
    return {
        "AIRFLOW_HOME": str(home / "airflow"),
        "PYTHONPATH": str(project),
        "AIRFLOW_CONN_MONGO_DEFAULT": _mongo_connection(laptop),
        **{
            f"AIRFLOW__{section}__{key}": value
            for section, values in sections.items()
            for key, value in values.items()
        },
    }
