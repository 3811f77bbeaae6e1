"""`twin doctor` looks at the real machine; what is missing is said with what to do."""

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from twin.cli import app, doctor
from twin.settings import get_laptop_settings, get_settings


@pytest.fixture(autouse=True)
def airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "airflow" / "bin" / "airflow"
    program.parent.mkdir(parents=True)
    program.touch()
    monkeypatch.setenv("TWIN_LAPTOP_AIRFLOW_ENVIRONMENT", str(tmp_path / "airflow"))
    monkeypatch.setenv("TWIN_HOME", str(tmp_path / "not" / "there" / "yet"))
    monkeypatch.setattr(doctor, "MEMORY_GIB", 0.1)
    monkeypatch.setattr(doctor, "DISK_GIB", 0.01)
    get_settings.cache_clear()
    get_laptop_settings.cache_clear()
    yield program
    get_settings.cache_clear()
    get_laptop_settings.cache_clear()


def examine():
    return CliRunner().invoke(app, ["doctor"])


def line_of(output: str, subject: str) -> str:
    return next(line for line in output.splitlines() if subject in line)


def test_a_machine_that_has_all_is_fine(tmp_path: Path) -> None:
    result = examine()
    assert result.exit_code == 0, result.output
    assert "MISSING" not in result.output
    assert str(tmp_path) in line_of(result.stdout, "disk")


def test_what_is_missing_is_named_with_what_to_do(airflow: Path) -> None:
    airflow.unlink()
    result = examine()
    assert result.exit_code == 78
    assert line_of(result.stdout, "Airflow").startswith("MISSING")
    assert "make setup" in line_of(result.stdout, "Airflow")
    assert "missing: Airflow; see above" in result.output


@pytest.mark.parametrize(("limit", "subject"), [("MEMORY_GIB", "memory"), ("DISK_GIB", "disk")])
def test_too_little_room_is_missing(
    monkeypatch: pytest.MonkeyPatch, limit: str, subject: str
) -> None:
    monkeypatch.setattr(doctor, limit, 1e6)
    result = examine()
    assert result.exit_code == 78
    assert line_of(result.stdout, subject).startswith("MISSING")


def test_a_taken_port_is_told_with_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("TWIN_LAPTOP_ENDPOINT_PORT", str(port))
        get_laptop_settings.cache_clear()
        result = examine()
    assert result.exit_code == 0
    assert "TWIN_LAPTOP_ENDPOINT_PORT" in line_of(result.stdout, f"port {port}")
