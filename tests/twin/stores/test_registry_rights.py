"""A trainer who can offer and not promote: a real MLflow server that asks who calls."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests import servers
from tests.conftest import ROOT
from twin.domain.errors import BadConfigurationError, BadDataError
from twin.settings import Settings
from twin.stores.registry import CANDIDATE, CHAMPION, ModelVersion, Registry
from twin.stores.registry_rights import GRANT, REVOKE, RegistryRights
from twin.stores.tracking import tracking_run

PASSWORDS = {name: f"password of {name}" for name in ("admin", "training", "job", "other")}
NAME = "twin-handbook"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow, started as the chart starts it."""
    folder, port = tmp_path_factory.mktemp("mlflow"), servers.free_port()
    users = {name: word for name, word in PASSWORDS.items() if name != "admin"}
    environment = {
        **os.environ,
        "MLFLOW_AUTH_DATABASE_URI": f"sqlite:///{folder}/users.db",
        "MLFLOW_AUTH_DEFAULT_PERMISSION": "MANAGE",
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_USERS": json.dumps(users),
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORDS["admin"],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of the test",
        "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/mlflow.db",
        "MLFLOW_ARTIFACTS_DESTINATION": str(folder / "artifacts"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = [
        sys.executable, str(ROOT / "helm/llm-twin/files/start_mlflow.py"), "mlflow", "server",
        "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--serve-artifacts",
        "--app-name", "basic-auth",
    ]  # fmt: skip
    address = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        servers.wait_until(is_up, "MLflow is up", 120)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def as_user(url: str, user: str) -> Settings:
    return Settings(
        mlflow_tracking_uri=url,
        mlflow_username=user,
        mlflow_password=SecretStr(PASSWORDS[user]),
        separate_candidates=True,
    )


def offer(url: str, user: str, digest: str) -> ModelVersion:
    settings = as_user(url, user)
    with (
        tracking_run(settings, experiment="handbook", name="package", version="s1", tags={}) as run,
        Registry(settings) as registry,
    ):
        return registry.register(
            NAME, weights_uri=f"s3://bucket/{digest}", weights_digest=digest,
            run_id=run.id, tags={"recipe": "handbook", "gate": "promote"},
        )  # fmt: skip


@pytest.mark.nightly
def test_a_trainer_offers_and_the_gate_alone_promotes(url: str) -> None:
    with RegistryRights(as_user(url, "admin")) as rights:
        for _ in range(2):
            rights.separate(NAME, "training")
    offered = offer(url, "training", "d1")
    assert offered.name == f"{NAME}-candidates"

    with Registry(as_user(url, "job")) as gate:
        taken = gate.take_candidate(NAME)
        assert taken is not None and taken.weights_digest == "d1" and "gate" not in taken.tags
        gate.promote(NAME, taken.version)

    with Registry(as_user(url, "training")) as trainer:
        again = offer(url, "training", "d2")
        mine = {"username": "training", "resource_type": "registered_model", "resource_id": NAME}
        refused = [
            lambda: trainer._set_alias(NAME, CHAMPION, "1"),
            lambda: trainer.tag(NAME, taken.version, "gate", "promote"),
            lambda: trainer.take_candidate(NAME),
            lambda: trainer._copy(again, NAME),
            lambda: trainer._send("DELETE", "registered-models/delete", {"name": NAME}),
            lambda: trainer._send("POST", GRANT, mine | {"permission": "MANAGE"}),
            lambda: trainer._send("POST", REVOKE, mine),
        ]
        for attempt in refused:
            with pytest.raises(BadConfigurationError, match="refuses access"):
                attempt()
    with Registry(as_user(url, "job")) as gate:
        aliases = gate.aliases(NAME)
        assert aliases[CHAMPION] == taken.version and aliases[CANDIDATE] == taken.version
        assert [version.weights_digest for version in gate.versions(NAME)] == ["d1"]
        assert gate.take_candidate(NAME).weights_digest == "d2"


@pytest.mark.nightly
def test_rights_are_the_administrators_to_give(url: str) -> None:
    with RegistryRights(as_user(url, "admin")) as rights:
        with pytest.raises(BadDataError, match=r"'nobody' cannot be given the right DENY"):
            rights.separate("twin-other", "nobody")
        rights.separate("twin-other", "training")
    with (
        RegistryRights(as_user(url, "training")) as trainer,
        pytest.raises(BadConfigurationError, match="refuses access"),
    ):
        trainer.separate("twin-other", "training")
