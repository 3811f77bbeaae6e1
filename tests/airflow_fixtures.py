"""Fixtures of the tests that run in Airflow's environment."""

from pathlib import Path

import pytest

from tests.airflow_environment import StandIn


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The stand-in `twin`, with section [twin] set for the local runtime and a file store."""
    made = StandIn(tmp_path / "stand-in")
    monkeypatch.setenv("AIRFLOW__TWIN__RUNTIME", "local")
    monkeypatch.setenv("AIRFLOW__TWIN__JOBS_BIN", str(made.bin))
    monkeypatch.setenv("AIRFLOW__TWIN__FILES_URI", (tmp_path / "files").as_uri())
    monkeypatch.setenv("AIRFLOW__TWIN__IMAGE_TAG", "1.2.3")
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made
