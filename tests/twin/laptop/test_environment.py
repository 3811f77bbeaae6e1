"""One environment for all processes, with secrets of its own."""

import json
import stat
from pathlib import Path

from twin.laptop.environment import (
    jobs_settings,
    load_secrets,
    platform_environment,
    socket_path,
)
from twin.settings import LaptopSettings, Settings


def laptop(tmp_path: Path) -> LaptopSettings:
    return LaptopSettings(home=tmp_path / "home", project=tmp_path, airflow_port=18080)


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    first = load_secrets(tmp_path / "home")
    assert load_secrets(tmp_path / "home") == first
    mode = (tmp_path / "home" / "secrets.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert load_secrets(tmp_path / "other").api_key != first.api_key


def test_jobs_read_back_the_settings_that_the_platform_wrote(tmp_path: Path, monkeypatch) -> None:
    keys = load_secrets(tmp_path / "home")
    for name, value in platform_environment(laptop(tmp_path), keys).items():
        if name.startswith("TWIN_"):
            monkeypatch.setenv(name, value)
    assert Settings().model_dump() == jobs_settings(laptop(tmp_path), keys).model_dump()


def test_what_a_shell_has_for_production_stays_out(tmp_path: Path, monkeypatch) -> None:
    """A laptop's crawl must not rewrite the production index that a shell happens to name."""
    foreign = {
        "TWIN_INDEX_URL": "https://qdrant.production.example",
        "TWIN_MONGO_DATABASE": "production",
        "TWIN_RAY_SERVICE": "twin/serving",
        "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
        "MLFLOW_TRACKING_TOKEN": "t",
    }
    for name, value in foreign.items():
        monkeypatch.setenv(name, value)
    keys = load_secrets(tmp_path / "home")
    environment = platform_environment(laptop(tmp_path), keys)
    assert not foreign.keys() & environment.keys()
    settings = jobs_settings(laptop(tmp_path), keys)
    assert (settings.index_url, settings.mongo_database, settings.ray_service) == (
        None,
        "twin",
        None,
    )


def test_every_address_follows_its_port(tmp_path: Path) -> None:
    environment = platform_environment(laptop(tmp_path), load_secrets(tmp_path / "home"))
    assert environment["AIRFLOW__API__PORT"] == "18080"
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].startswith(
        "http://127.0.0.1:18080/"
    )
    assert json.loads(environment["AIRFLOW_CONN_MONGO_DEFAULT"])["port"] == 27117


def test_the_socket_fits_whatever_the_checkout(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    assert len(str(socket_path(deep))) <= 107
    assert socket_path(deep) != socket_path(tmp_path)
