"""A live Airflow on free ports: scheduler and workers, DAG processor, triggerer, API server."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests import servers
from tests.airflow_environment import ROOT

AIRFLOW = Path(sys.prefix) / "bin" / "airflow"
#: As the laptop's configuration and the images have it.
BUNDLES = [
    {"name": "dags-folder", "classpath": "include.recipes_bundle.RecipesBundle", "kwargs": {}}
]
#: Components in the order in which they start. The last listens nowhere.
COMPONENTS = ("api-server", "scheduler", "triggerer", "dag-processor")


def wait_until(ready: Callable[[], bool], what: str, seconds: float = 180) -> None:
    """Wait as `servers.wait_until`, but asking seldom: each question costs the API server time."""
    servers.wait_until(ready, what, seconds, pause=0.5)


class LiveAirflow:
    """A running Airflow, as a person at its web UI sees it; its components can be killed."""

    def __init__(self, home: Path, variables: Mapping[str, str]) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        names = ("api-server", "scheduler", "triggerer")
        self.ports = {name: servers.free_port() for name in names}
        self.url = f"http://127.0.0.1:{self.ports['api-server']}"
        self.variables = {**self._variables(), **variables}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._http = httpx.Client(base_url=self.url, timeout=30)

    def _variables(self) -> dict[str, str]:
        return {
            "AIRFLOW_HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "include.local_executor.PreparedLocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__PORT": str(self.ports["api-server"]),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": "live-test",
            "AIRFLOW__API_AUTH__JWT_SECRET": "live-test-" * 8,
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(self.ports["scheduler"]),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(self.ports["triggerer"]),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(BUNDLES),
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120",
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
        }

    @contextmanager
    def running(self, *dags: str) -> Iterator["LiveAirflow"]:
        """Run all components until the block ends; it is entered when these DAGs are known."""
        self.command("db", "migrate")
        self.command("pools", "set", "gpu", "1", "tasks that load a model", "--include-deferred")
        try:
            for name in COMPONENTS:
                self.start(name)
            wait_until(lambda: _quietly(self.log_in), "Airflow's API", 240)
            wait_until(lambda: all(map(self.knows, dags)), f"DAGs {dags}", 240)
            yield self
        finally:
            for name in reversed(COMPONENTS):
                if name in self.processes:
                    servers.end_group(self.processes.pop(name))

    def command(self, *arguments: str) -> None:
        """Run one command of Airflow's to its end."""
        done = subprocess.run(
            [str(AIRFLOW), *arguments],
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, name: str) -> None:
        """Start a component and wait until its port, if it has one, is open."""
        arguments = [AIRFLOW, name]
        if name == "api-server":
            arguments += ["--host", "127.0.0.1", "--port", str(self.ports[name])]
        port = self.ports.get(name, self.ports["api-server"])
        self.processes[name] = servers.start(
            arguments, port, self.home / f"{name}.log", self.variables, seconds=400
        )

    def kill(self, name: str) -> None:
        """End a component as a lost machine does: at once, with all that it has started."""
        process = self.processes.pop(name)
        # Workers and tasks have process groups of their own.
        family = psutil.Process(process.pid).children(recursive=True)
        for member in (psutil.Process(process.pid), *family):
            with suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait()

    def log_in(self) -> None:
        token = self._http.get("/auth/token").json()["access_token"]
        self._http.headers["authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        answer = self._http.request(method, f"/api/v2{path}", **arguments)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        body: dict[str, Any] = answer.json() if answer.content else {}
        return body

    def knows(self, dag: str) -> bool:
        return self._http.get(f"/api/v2/dags/{dag}").is_success

    def trigger(self, dag: str, **conf: Any) -> str:
        body = {"logical_date": None, "conf": conf}
        return str(self.call("POST", f"/dags/{dag}/dagRuns", json=body)["dag_run_id"])

    def runs(self, dag: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.call("GET", f"/dags/{dag}/dagRuns")["dag_runs"]
        return rows

    def tasks(self, dag: str, run: str) -> dict[str, dict[str, Any]]:
        rows = self.call("GET", f"/dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]
        return {row["task_id"].split(".")[-1]: row for row in rows}

    def states(self, dag: str, run: str) -> dict[str, str]:
        return {name: row["state"] for name, row in self.tasks(dag, run).items()}

    def reaches(self, dag: str, run: str, task: str, *states: str, seconds: float = 180) -> str:
        """Wait until the task is in one of the states; tell those of all tasks if it is not."""
        try:
            wait_until(
                lambda: self.states(dag, run).get(task) in states, " or ".join(states), seconds
            )
        except TimeoutError as error:
            found = {
                name: (row["state"], row["try_number"])
                for name, row in self.tasks(dag, run).items()
            }
            raise AssertionError(
                f"{task} is not {' or '.join(states)}: states and tries are {found}"
            ) from error
        return self.states(dag, run)[task]

    def succeeded_since(self, dag: str, moment: datetime) -> list[str]:
        """Ids of the runs that began after ``moment``; one that failed fails the test."""
        since = [
            run for run in self.runs(dag) if datetime.fromisoformat(run["run_after"]) >= moment
        ]
        for run in since:
            assert run["state"] != "failed", self.states(dag, run["dag_run_id"])
        return [run["dag_run_id"] for run in since if run["state"] == "success"]

    def log(self, dag: str, run: str, task: str) -> str:
        """The log of the task's newest try, as the web UI shows it."""
        row = self.tasks(dag, run)[task]
        path = f"/dags/{dag}/dagRuns/{run}/taskInstances/{row['task_id']}/logs/{row['try_number']}"
        body = self.call("GET", path, params={"map_index": row["map_index"], "full_content": True})
        return "\n".join(json.dumps(line) for line in body["content"])


def _quietly(action: Callable[[], object]) -> bool:
    try:
        action()
    except (httpx.HTTPError, ValueError, KeyError):
        return False
    return True
