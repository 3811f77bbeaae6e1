"""The platform refuses to start where it cannot, and says why."""

import socket
from pathlib import Path

import pytest
from rich.console import Console

from tests import servers
from twin.domain.errors import BadConfigurationError
from twin.laptop.platform import Platform
from twin.settings import LaptopSettings


def platform(tmp_path: Path, **settings: object) -> Platform:
    return Platform(LaptopSettings(home=tmp_path / "home", **settings), Console(quiet=True))


def airflow_environment(tmp_path: Path) -> Path:
    executable = tmp_path / "airflow" / "bin" / "airflow"
    executable.parent.mkdir(parents=True)
    executable.touch()
    return tmp_path / "airflow"


def test_a_taken_port_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        made = platform(
            tmp_path, mlflow_port=port, airflow_environment=airflow_environment(tmp_path),
            warehouse_port=servers.free_port(),
        )  # fmt: skip
        with pytest.raises(BadConfigurationError, match=rf"port {port} .* TWIN_LAPTOP_MLFLOW_PORT"):
            made.up()
    assert not made.processes.running()


def test_a_missing_airflow_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(BadConfigurationError, match="make setup"):
        platform(tmp_path, airflow_environment=tmp_path / "nothing").up()


def test_down_without_up_is_no_error(tmp_path: Path) -> None:
    platform(tmp_path).down()
