"""The whole chain in a live Airflow: scheduler, DAG processor, triggerer, API server.

Jobs are the stand-in `twin`; the warehouse and the model registry are real. What no `dag.test()`
can show is shown here: that assets start the next pipeline, that the registry's watcher starts a
rollout, that a person's approval is waited for, and that marking a task failed ends its job.
"""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pymongo
import pytest

from tests import servers
from tests.airflow_environment import StandIn, gone
from tests.live_airflow import LiveAirflow, wait_until

CHAIN = ["crawl", "features", "datasets", "training", "evaluation", "rollout"]
JOBS = [
    "crawl run",
    "features build",
    "datasets make",
    "training check",
    "training sft",
    "training pairs",
    "training dpo",
    "training package",
    "evaluation run",
    "rollout start",
]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Live(LiveAirflow):
    """Airflow beside a model registry, with jobs that do as a test says."""

    def __init__(self, home: Path, variables: dict[str, str], mlflow: str, jobs: StandIn) -> None:
        super().__init__(home, variables)
        self.mlflow = mlflow
        self.stand_in = jobs

    def promote(self, version: int) -> None:
        """Move the alias in the registry, as a person does in MLflow's UI."""
        api = f"{self.mlflow}/api/2.0/mlflow"
        httpx.post(f"{api}/registered-models/create", json={"name": "twin-handbook"})
        source = {"name": "twin-handbook", "source": "s3://b/weights"}
        httpx.post(f"{api}/model-versions/create", json=source).raise_for_status()
        alias = {"name": "twin-handbook", "alias": "champion", "version": str(version)}
        httpx.post(f"{api}/registered-models/alias", json=alias).raise_for_status()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    stand_in = StandIn(folder / "stand-in")
    with ExitStack() as running:
        _, mongo, _ = running.enter_context(servers.warehouse_server(folder / "warehouse" / "data"))
        mlflow = running.enter_context(servers.mlflow_server(folder / "mlflow"))
        connection = {"conn_type": "mongo", "host": "127.0.0.1", "port": mongo, "schema": "twin"}
        variables = {
            "AIRFLOW_CONN_MONGO_DEFAULT": json.dumps(
                connection | {"extra": {"directConnection": True}}
            ),
            "AIRFLOW__TWIN__RUNTIME": "local",
            "AIRFLOW__TWIN__JOBS_BIN": str(stand_in.bin),
            "AIRFLOW__TWIN__FILES_URI": (folder / "files").as_uri(),
            "AIRFLOW__TWIN__MLFLOW_URL": mlflow,
            **stand_in.environment,
        }
        made = Live(folder / "airflow", variables, mlflow, stand_in)
        running.enter_context(made.running(*CHAIN, "full_traffic"))
        with pymongo.MongoClient("127.0.0.1", mongo, directConnection=True) as client:
            client["twin"]["documents"].insert_one(
                {"_id": "1", "author_id": "handbook", "status": "live"}
            )
        yield made


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
    # What callers said is read beside whatever comes after the samples.
    beside = {"rollout start", "datasets feedback"}
    # And every few minutes it is looked whether what should serve does.
    others = beside | {"rollout reconcile"}
    assert [job for job in jobs if job not in others] == JOBS[:-1]
    assert beside < set(jobs)
    assert jobs.index("datasets feedback") > jobs.index("datasets make")
    assert all(call["options"][:2] == ["--recipe", "handbook"] for call in live.stand_in.calls)
    run = live.succeeded_since("evaluation", began)[0]
    assert live.states("evaluation", run)["approve"] == "skipped"
    row = live.tasks("crawl", live.succeeded_since("crawl", began)[0])["crawl"]
    assert row["rendered_map_index"] == "handbook: handbook"


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


def test_a_job_that_failed_has_a_link_to_its_reason(live: Live) -> None:
    """Buys: proof that a failing task's XComs are kept, and that its page leads to them."""
    live.stand_in.does("features build", status=65, message="no recipe 'hanbook'")
    run = live.trigger("features", recipe="handbook")
    live.reaches("features", run, "build", "failed")
    task = f"/dags/features/dagRuns/{run}/taskInstances/one_index.build"
    query = {"map_index": 0}
    links = live.call("GET", f"{task}/links", params=query)["extra_links"]
    assert links["Reason"].endswith("/tasks/one_index.build/mapped/0/xcom")
    reason = live.call("GET", f"{task}/xcomEntries/reason", params=query)
    assert reason["value"] == "no recipe 'hanbook'"


def test_a_candidate_that_passed_waits_for_a_person(live: Live) -> None:
    """Buys: proof that an approval is asked for, and that it promotes the version measured."""
    told = {
        "decision": "awaiting approval",
        "evidence": "**The gate holds it**\n\n| measure |\n| --- |\n| {{ one }} |\n",
    }
    ids = {"model": "twin-handbook", "version": "7"}
    live.stand_in.does("evaluation run", detail=told, ids=ids)
    run = live.trigger("evaluation", recipe="handbook")
    live.reaches("evaluation", run, "approve", "awaiting_input")
    path = f"/dags/evaluation/dagRuns/{run}/taskInstances/one_candidate.approve/0/hitlDetails"
    shown = live.call("GET", path)
    assert shown["subject"] == "Promote version 7 of twin-handbook?"
    assert shown["body"] == told["evidence"]
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


def test_a_version_that_waits_for_a_person_gets_all_the_traffic_by_an_answer(live: Live) -> None:
    """Buys: proof that a rollout's result reaches the question, and the answer the version."""
    since = "2026-01-02T03:04:05.678901+00:00"
    evidence = "Traffic: version 2: 75%, version 3: 25%.\n\n- errors: passed {{ one }}"
    live.stand_in.does(
        "rollout start",
        ids={"model": "twin-handbook", "model_version": "3"},
        detail={"decision": "awaiting approval", "evidence": evidence, "since": since},
    )
    # Two promotions within seconds are two rollouts, and the second finds the version waiting.
    rollouts = [live.trigger("rollout", recipe="handbook") for _ in range(2)]
    wait_until(lambda: bool(live.runs("full_traffic")), "the question", 120)
    (asked,) = live.runs("full_traffic")
    run = asked["dag_run_id"]
    live.reaches("full_traffic", run, "approve", "awaiting_input")
    path = f"/dags/full_traffic/dagRuns/{run}/taskInstances/approve/-1/hitlDetails"
    shown = live.call("GET", path)
    assert shown["subject"] == "Give handbook version 3 all the traffic?"
    assert shown["body"] == evidence
    ends = ("success", "skipped", "failed")
    asking = [live.reaches("rollout", each, "ask_for_traffic", *ends) for each in rollouts]
    assert sorted(asking) == ["skipped", "success"]
    assert len(live.runs("full_traffic")) == 1
    time.sleep(10)  # as above
    live.call("PATCH", path, json={"chosen_options": ["Approve"], "params_input": {}})
    assert live.reaches("full_traffic", run, "promote", "success", "failed") == "success"
    wait_until(lambda: live.runs("full_traffic")[0]["state"] == "success", "the run")
    assert live.states("full_traffic", run)["abort"] == "skipped"
    calls = [call for call in live.stand_in.calls if call["job"] == "rollout promote"]
    assert [call["options"][:4] for call in calls] == [
        ["--recipe", "handbook", "--model-version=3", "--only-waiting"]
    ]
    live.stand_in.does("rollout start")


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
    path = f"/dags/crawl/dagRuns/{run}/taskInstances/crawl/0"
    live.call("PATCH", path, json={"new_state": "failed"})
    wait_until(lambda: all(map(gone, pids)), "the job's end", 30)
