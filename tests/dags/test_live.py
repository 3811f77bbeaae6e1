"""The whole chain in a live Airflow: scheduler, DAG processor, triggerer, API server.

Jobs are the stand-in `twin`; the warehouse and the model registry are real. What no `dag.test()`
can show is shown here: that assets start the next pipeline, that the registry's watcher starts a
rollout, that a person's approval is waited for, and that marking a task failed ends its job.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pymongo
import pytest

from tests import servers
from tests.airflow_environment import ROOT, StandIn, gone

AIRFLOW = Path(sys.prefix) / "bin" / "airflow"
CHAIN = ["crawl", "features", "datasets", "training", "evaluation", "rollout"]
JOBS = [
    "crawl run",
    "features build",
    "datasets make",
    "training sft",
    "training dpo",
    "training package",
    "evaluation run",
    "rollout start",
]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def wait_until(ready: Callable[[], bool], what: str, seconds: float = 180) -> None:
    """Wait as `servers.wait_until`, but asking seldom: each question costs the API server time."""
    servers.wait_until(ready, what, seconds, pause=0.5)


class Live:
    """A running Airflow, as a person at its web UI sees it."""

    def __init__(self, url: str, mlflow: str, stand_in: StandIn) -> None:
        self.mlflow = mlflow
        self.stand_in = stand_in
        self._http = httpx.Client(base_url=url, timeout=30)

    def log_in(self) -> None:
        token = self._http.get("/auth/token").json()["access_token"]
        self._http.headers["authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        answer = self._http.request(method, f"/api/v2{path}", **arguments)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        body: dict[str, Any] = answer.json()
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

    def reaches(self, dag: str, run: str, task: str, state: str) -> None:
        """Wait for the task's state; tell the states of all tasks if it does not come."""
        try:
            wait_until(lambda: self.states(dag, run).get(task) == state, state)
        except TimeoutError as error:
            states = {
                name: (row["state"], row["try_number"])
                for name, row in self.tasks(dag, run).items()
            }
            raise AssertionError(f"{task} is not {state}: states and tries are {states}") from error

    def succeeded_since(self, dag: str, moment: datetime) -> list[str]:
        """Ids of the runs that began after ``moment``; one that failed fails the test."""
        since = [
            run for run in self.runs(dag) if datetime.fromisoformat(run["run_after"]) >= moment
        ]
        for run in since:
            assert run["state"] != "failed", self.states(dag, run["dag_run_id"])
        return [run["dag_run_id"] for run in since if run["state"] == "success"]

    def promote(self, version: int) -> None:
        """Move the alias in the registry, as a person does in MLflow's UI."""
        api = f"{self.mlflow}/api/2.0/mlflow"
        httpx.post(f"{api}/registered-models/create", json={"name": "twin-handbook"})
        source = {"name": "twin-handbook", "source": "s3://b/weights"}
        httpx.post(f"{api}/model-versions/create", json=source).raise_for_status()
        alias = {"name": "twin-handbook", "alias": "champion", "version": str(version)}
        httpx.post(f"{api}/registered-models/alias", json=alias).raise_for_status()


def environment(
    home: Path, stand_in: StandIn, ports: dict[str, int], mlflow: str
) -> dict[str, str]:
    url = f"http://127.0.0.1:{ports['api']}"
    mongo = {"conn_type": "mongo", "host": "127.0.0.1", "port": ports["mongo"], "schema": "twin"}
    return {
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "AIRFLOW_CONN_MONGO_DEFAULT": json.dumps(mongo | {"extra": {"directConnection": True}}),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__PORT": str(ports["api"]),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__SECRET_KEY": "live-test",
        "AIRFLOW__API_AUTH__JWT_SECRET": "live-test-" * 8,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(ports["worker"]),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(ports["triggerer"]),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
        "AIRFLOW__TWIN__RUNTIME": "local",
        "AIRFLOW__TWIN__JOBS_BIN": str(stand_in.bin),
        "AIRFLOW__TWIN__FILES_URI": (home / "files").as_uri(),
        "AIRFLOW__TWIN__MLFLOW_URL": mlflow,
        **stand_in.environment,
    }


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    home = folder / "airflow"
    home.mkdir()
    stand_in = StandIn(folder / "stand-in")
    with ExitStack() as running:
        _, mongo, _ = running.enter_context(servers.warehouse_server(folder / "warehouse" / "data"))
        mlflow = running.enter_context(servers.mlflow_server(folder / "mlflow"))
        ports = {name: servers.free_port() for name in ("api", "worker", "triggerer")}
        ports["mongo"] = mongo
        variables = environment(home, stand_in, ports, mlflow)
        for command in (
            ["db", "migrate"],
            ["pools", "set", "gpu", "1", "tasks that load a model", "--include-deferred"],
        ):
            _run([str(AIRFLOW), *command], variables)
        api = [AIRFLOW, "api-server", "--host", "127.0.0.1", "--port", str(ports["api"])]
        running.enter_context(
            servers.server(api, ports["api"], home / "api.log", variables, seconds=180)
        )
        for name, port in (("scheduler", "worker"), ("triggerer", "triggerer")):
            running.enter_context(
                servers.server([AIRFLOW, name], ports[port], home / f"{name}.log", variables, 180)
            )
        # It listens nowhere; the API server's port stands in for "is up".
        running.enter_context(
            servers.server(
                [AIRFLOW, "dag-processor"], ports["api"], home / "processor.log", variables
            )
        )
        made = Live(f"http://127.0.0.1:{ports['api']}", mlflow, stand_in)
        wait_until(lambda: _quietly(made.log_in), "Airflow's API", 120)
        wait_until(lambda: all(map(made.knows, CHAIN)), "all DAGs", 120)
        with pymongo.MongoClient("127.0.0.1", mongo, directConnection=True) as client:
            client["twin"]["documents"].insert_one(
                {"_id": "1", "author_id": "handbook", "status": "live"}
            )
        yield made


def _run(command: list[str], variables: dict[str, str]) -> None:
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _quietly(action: Callable[[], object]) -> bool:
    try:
        action()
    except (httpx.HTTPError, ValueError, KeyError):
        return False
    return True


def test_triggering_crawl_runs_the_whole_chain(live: Live) -> None:
    """Buys: proof that the assets connect the six pipelines in a live Airflow."""
    live.promote(1)
    began = datetime.now(UTC)
    live.trigger("crawl", recipe="handbook")
    for dag in CHAIN:
        wait_until(lambda dag=dag: live.succeeded_since(dag, began), f"{dag} done", 240)
        print(f"{dag}: done {(datetime.now(UTC) - began).total_seconds():.0f} s after the trigger")
    jobs = [call["job"] for call in live.stand_in.calls]
    # The watcher of the registry may have started a rollout of its own meanwhile.
    assert [job for job in jobs if job != "rollout start"] == JOBS[:-1]
    assert "rollout start" in jobs
    assert all(call["options"][:2] == ["--recipe", "handbook"] for call in live.stand_in.calls)
    run = live.succeeded_since("evaluation", began)[0]
    assert live.states("evaluation", run)["approve"] == "skipped"
    row = live.tasks("crawl", live.succeeded_since("crawl", began)[0])["crawl"]
    assert row["rendered_map_index"] == "handbook"


def test_a_promotion_by_hand_is_rolled_out(live: Live) -> None:
    """Buys: proof that the triggerer watches the registry, and tells each change once."""
    wait_until(lambda: all(r["state"] == "success" for r in live.runs("rollout")), "calm")
    time.sleep(20)
    before = len(live.runs("rollout"))
    live.promote(2)
    wait_until(
        lambda: len([r for r in live.runs("rollout") if r["state"] == "success"]) > before,
        "a rollout",
        120,
    )
    time.sleep(20)
    assert len(live.runs("rollout")) == before + 1
    latest = max(live.runs("rollout"), key=lambda run: run["run_after"])
    assert live.states("rollout", latest["dag_run_id"])["rollout"] == "success"


def test_a_job_that_logged_to_mlflow_has_a_link(live: Live) -> None:
    """Buys: proof that the plugin's link reaches the web UI."""
    url = "http://127.0.0.1:5100/#/experiments/1/runs/2"
    live.stand_in.does("features build", uris={"mlflow_run": url})
    run = live.trigger("features", recipe="handbook")
    live.reaches("features", run, "build", "success")
    path = f"/dags/features/dagRuns/{run}/taskInstances/one_index.build/links"
    links = live.call("GET", path, params={"map_index": 0})["extra_links"]
    assert links["MLflow run"] == url


def test_a_candidate_that_passed_waits_for_a_person(live: Live) -> None:
    """Buys: proof that an approval is asked for, and that it promotes the version measured."""
    told = {"decision": "awaiting approval", "checks": ["perplexity fell by 5%"]}
    live.stand_in.does("evaluation run", detail=told, ids={"version": "7"})
    run = live.trigger("evaluation", recipe="handbook")
    live.reaches("evaluation", run, "approve", "awaiting_input")
    path = f"/dags/evaluation/dagRuns/{run}/taskInstances/one_candidate.approve/0/hitlDetails"
    assert "perplexity fell by 5%" in live.call("GET", path)["body"]
    # No person answers at once. A program that did would meet a race of Airflow's: the scheduler
    # takes the end of the process that asked for the end of the task that resumes, and retries it.
    time.sleep(10)
    live.call("PATCH", path, json={"chosen_options": ["Approve"], "params_input": {}})
    live.reaches("evaluation", run, "publish", "success")
    (promoted,) = [call for call in live.stand_in.calls if call["job"] == "evaluation promote"]
    assert promoted["options"][2:4] == ["--model-version", "7"]
    assert live.states("evaluation", run)["reject"] == "skipped"


def test_a_rejection_is_recorded_on_the_version(live: Live) -> None:
    """Buys: proof that a person's no reaches the job that keeps it, and promotes nothing."""
    live.stand_in.does(
        "evaluation run", detail={"decision": "awaiting approval"}, ids={"version": "8"}
    )
    before = len(live.stand_in.calls)
    run = live.trigger("evaluation", recipe="handbook")
    live.reaches("evaluation", run, "approve", "awaiting_input")
    path = f"/dags/evaluation/dagRuns/{run}/taskInstances/one_candidate.approve/0/hitlDetails"
    time.sleep(10)  # as above
    live.call("PATCH", path, json={"chosen_options": ["Reject"], "params_input": {}})
    live.reaches("evaluation", run, "reject", "success")
    live.reaches("evaluation", run, "promote", "skipped")
    jobs = [call for call in live.stand_in.calls[before:] if call["job"].startswith("evaluation")]
    assert [call["job"] for call in jobs] == ["evaluation run", "evaluation reject"]
    assert jobs[-1]["options"][2:4] == ["--model-version", "8"]


def test_marking_a_task_failed_ends_its_job(live: Live) -> None:
    """Buys: proof that nothing is left of a job that a person stops."""
    live.stand_in.does("crawl run", seconds=300, grandchild=True)
    calls = len(live.stand_in.calls)
    run = live.trigger("crawl", recipe="handbook")

    def crawls() -> list[dict[str, Any]]:
        # Not the last call: a rollout that the test before caused may run meanwhile.
        return [call for call in live.stand_in.calls[calls:] if call["job"] == "crawl run"]

    wait_until(lambda: bool(crawls()), "crawl", 120)
    pid = crawls()[0]["pid"]
    wait_until(lambda: len(psutil.Process(pid).children()) == 1, "its child", 10)
    pids = [pid, psutil.Process(pid).children()[0].pid]
    path = f"/dags/crawl/dagRuns/{run}/taskInstances/one_author.crawl/0"
    live.call("PATCH", path, json={"new_state": "failed"})
    wait_until(lambda: all(map(gone, pids)), "the job's end", 30)
