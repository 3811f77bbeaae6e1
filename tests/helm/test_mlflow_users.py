"""MLflow of the chart asks who calls: its start script, run here, and its manifests."""

import configparser
import json
import os
import runpy
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from tests import servers
from tests.helm.manifests import CHART, DEV, PRODUCTION, find, only

START = CHART / "files" / "start_mlflow.py"
ADMIN, JOB, OTHER = "password of admin", "password of 100% jobs", "another password"


SCRIPT = runpy.run_path(str(START), run_name="script")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the configuration is that MLflow reads when its module is imported."""
    path = tmp_path / "auth.ini"
    SCRIPT["write_configuration"](path, f"sqlite:///{tmp_path}/users.db", "MANAGE")
    monkeypatch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(path))
    return tmp_path


def make_users(folder: Path, users: dict[str, str]) -> None:
    SCRIPT["make_users"](f"sqlite:///{folder}/users.db", users)


def may_enter(folder: Path, *pairs: tuple[str, str]) -> list[bool]:
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore()
    store.init_db(f"sqlite:///{folder}/users.db")
    found = [store.authenticate_user(*pair) for pair in pairs]
    assert not any(user.is_admin for user in store.list_users())
    store.engine.dispose()
    return found


def test_users_are_made_and_follow_their_secret(folder: Path) -> None:
    make_users(folder, {"job": JOB, "airflow": OTHER})
    assert may_enter(folder, ("job", JOB), ("airflow", OTHER), ("job", OTHER)) == [
        True, True, False,
    ]  # fmt: skip
    make_users(folder, {"job": OTHER})
    assert may_enter(folder, ("job", OTHER), ("job", JOB), ("airflow", OTHER)) == [
        True, False, True,
    ]  # fmt: skip


def test_a_password_that_mlflow_refuses_stops_the_server(folder: Path) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match="at least 12 characters"):
        make_users(folder, {"job": "short"})


def test_the_server_reads_what_was_written(tmp_path: Path) -> None:
    """A password in the database's address may have a per cent sign."""
    database = "postgresql://twin:100%25@database/mlflow"
    SCRIPT["write_configuration"](tmp_path / "auth.ini", database, "READ")
    read = configparser.ConfigParser()
    read.read(tmp_path / "auth.ini")
    assert read["mlflow"]["database_uri"] == database
    assert read["mlflow"]["default_permission"] == "READ"


def container(manifests):
    return only(manifests, "Deployment", "mlflow")["spec"]["template"]["spec"]["containers"][0]


class TestChart:
    def test_the_server_asks_who_calls_unless_told_not_to(self, render):
        python, flag, script, *server = container(render(None, "install.mlflow=true"))["args"]
        assert (python, flag) == ("python", "-c") and script == START.read_text()
        assert server[:2] == ["mlflow", "server"] and server[-2:] == ["--app-name", "basic-auth"]
        open_one = container(render(None, "install.mlflow=true", "mlflow.auth.enabled=false"))
        assert open_one["args"][:2] == ["mlflow", "server"] and "basic-auth" not in open_one["args"]
        assert not any("AUTH" in item["name"] for item in open_one["env"])

    def test_passwords_are_in_the_servers_secret_and_users_beside_the_registry(self, render):
        for values in (DEV, PRODUCTION):
            env = {item["name"]: item for item in container(render(values))["env"]}
            for name in ("MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_AUTH_USERS",
                         "MLFLOW_FLASK_SERVER_SECRET_KEY"):  # fmt: skip
                assert env[name]["valueFrom"]["secretKeyRef"] == {
                    "name": "twin-stores",
                    "key": name,
                }
            registry = dict(env["MLFLOW_BACKEND_STORE_URI"], name="")
            users = dict(env["MLFLOW_AUTH_DATABASE_URI"], name="")
            if values == DEV:
                assert registry["value"] == "sqlite:////data/mlflow.db"
                assert users["value"] == "sqlite:////data/users.db"
            else:
                assert users == registry

    def test_every_part_of_the_example_has_a_user_that_the_server_makes(self, render):
        secrets = {
            item["metadata"]["name"]: {
                name: b64decode(value).decode() for name, value in item["data"].items()
            }
            for item in find(render(DEV), "Secret")
        }
        users = json.loads(secrets["twin-stores"]["MLFLOW_AUTH_USERS"])
        for part in ("job", "rollout", "serving"):
            own = secrets[f"twin-credentials-{part}"]
            assert own["TWIN_MLFLOW_USERNAME"] == part
            assert own["TWIN_MLFLOW_PASSWORD"] == users[part]
        url = urllib.parse.urlsplit(secrets["twin-airflow"]["AIRFLOW__TWIN__MLFLOW_URL"])
        assert users[url.username] == url.password
        told = only(render(DEV), "ConfigMap", "twin-airflow")["data"]["AIRFLOW__TWIN__MLFLOW_URL"]
        assert told == url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()
        for part in ("crawl", "fetch"):
            assert not any("MLFLOW" in name for name in secrets[f"twin-credentials-{part}"])


@pytest.mark.nightly
def test_a_stranger_moves_no_alias(tmp_path: Path) -> None:
    """The real server, started by the script as the chart does."""
    port = servers.free_port()
    environment = {
        **os.environ,
        "MLFLOW_AUTH_DATABASE_URI": f"sqlite:///{tmp_path}/users.db",
        "MLFLOW_AUTH_DEFAULT_PERMISSION": "MANAGE",
        "MLFLOW_AUTH_CONFIG_PATH": str(tmp_path / "auth.ini"),
        "MLFLOW_AUTH_USERS": json.dumps({"job": JOB, "airflow": OTHER}),
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of the test",
        "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = [
        sys.executable, str(START), "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--app-name", "basic-auth",
    ]  # fmt: skip
    api = f"http://127.0.0.1:{port}"

    def status(path: str, user: tuple[str, str] | None = None, body: object = None) -> int:
        headers = {"Content-Type": "application/json"}
        if user:
            headers["Authorization"] = "Basic " + b64encode(":".join(user).encode()).decode()
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(api + path, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        servers.wait_until(lambda: status("/health") == 200, "MLflow is up", 120)
        models = "/api/2.0/mlflow/registered-models"
        new = {"name": "twin-handbook"}
        assert status(f"{models}/create", None, new) == 401
        assert status(f"{models}/create", ("job", "a wrong password"), new) == 401
        assert status(f"{models}/create", ("job", JOB), new) == 200
        assert status(f"{models}/search") == 401
        assert status(f"{models}/search", ("airflow", OTHER)) == 200
        assert status("/v1/traces", None, {}) == 401
        assert status("/api/2.0/mlflow/users/create", ("job", JOB),
                      {"username": "mine", "password": OTHER}) == 403  # fmt: skip
        assert status("/api/2.0/mlflow/users/create", ("admin", ADMIN),
                      {"username": "mine", "password": OTHER}) == 200  # fmt: skip
    finally:
        server.terminate()
        server.wait(30)
