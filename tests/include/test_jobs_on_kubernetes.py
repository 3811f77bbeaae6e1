"""The operator's pods: the real Kubernetes branch, deferred, against a small API of pods."""

import datetime
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.xcom import XComModel
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import select

from tests.airflow_environment import ROOT, StandIn
from tests.kubernetes_api import FakeKubernetes, fake_kubernetes
from tests.servers import wait_until


@pytest.fixture(scope="module", autouse=True)
def _metadata_database() -> None:
    initdb()


@pytest.fixture
def cluster(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    """The runtime switched to a cluster whose pods find the stand-in on their PATH."""
    path = os.pathsep.join([str(stand_in.bin), os.environ["PATH"]])
    with fake_kubernetes({**stand_in.environment, "PATH": path}) as made:
        monkeypatch.setenv("AIRFLOW__TWIN__RUNTIME", "kubernetes")
        monkeypatch.setenv("AIRFLOW__TWIN__NAMESPACE", "twins")
        monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", '{"conn_type": "kubernetes"}')
        yield made


def run(**more: Any) -> tuple[str, dict[str, Any]]:
    """Let Airflow run the features pipeline; the state of its job and the XComs that it left."""
    dag = DagBag(ROOT / "dags").dags["features"]
    dag.deadline = None  # of Airflow 3.3: `test` takes the alert itself for the id of one
    for task in dag.tasks:
        task.retries = 0
    for name, value in more.items():
        setattr(dag.task_dict["one_index.build"], name, value)
    made = dag.test(run_conf={"recipe": "handbook"})
    (ti,) = (ti for ti in made.get_task_instances() if ti.task_id == "one_index.build")
    with create_session() as session:
        rows = session.execute(
            select(XComModel.key, XComModel.value).where(
                XComModel.run_id == made.run_id, XComModel.task_id == ti.task_id
            )
        ).all()
    return str(ti.state), {key: _json(value) for key, value in rows}


def _json(value: Any) -> Any:
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value


def test_a_pod_that_ends_well(stand_in: StandIn, cluster: FakeKubernetes) -> None:
    stand_in.does("features build", seconds=3, ids={"version": "7"})
    state, xcoms = run()
    assert state == "success"
    assert xcoms["counts"] == {"read": 3, "written": 2}
    assert xcoms["ids"] == {"version": "7"}
    (pod,) = cluster.created
    assert pod["metadata"]["namespace"] == "twins"
    assert pod["metadata"]["labels"]["dag_id"] == "features"
    assert pod["spec"]["containers"][0]["image"].endswith("/features:1.2.3")
    assert cluster.pods == {}, "the pod is left behind"


def test_nothing_to_do_is_a_skip(
    stand_in: StandIn, cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.does("features build", status=99, message="nothing new at the sources")
    state, xcoms = run()
    assert state == "skipped"
    assert xcoms["counts"] == {"read": 3, "written": 2}
    assert "features build: nothing to do: nothing new at the sources" in capsys.readouterr().out
    assert cluster.pods == {}


@pytest.mark.parametrize("status", [65, 78])
def test_what_no_retry_can_cure_fails_for_good(
    stand_in: StandIn,
    cluster: FakeKubernetes,
    capsys: pytest.CaptureFixture[str],
    status: int,
) -> None:
    stand_in.does("features build", status=status, message="unknown key 'sorces'")
    state, _ = run(retries=2)
    assert state == "failed"
    assert len(cluster.created) == 1, "it was tried again"
    shown = capsys.readouterr().out
    assert f"features build for recipe handbook ended with status {status}: unknown key" in shown
    assert cluster.pods == {}


def test_the_message_is_found_behind_a_result_longer_than_kubernetes_keeps(
    stand_in: StandIn, cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.does(
        "features build", status=65, message="too many pages failed", detail={"x": "y" * 4000}
    )
    state, _ = run()
    assert state == "failed"
    assert "ended with status 65: too many pages failed" in capsys.readouterr().out


def test_what_may_pass_is_retried_in_a_new_pod(stand_in: StandIn, cluster: FakeKubernetes) -> None:
    stand_in.does("features build", status=75, message="the warehouse is away")
    state, _ = run(retries=1, retry_delay=datetime.timedelta(seconds=1))
    assert state == "failed"
    assert len(cluster.created) == 2
    assert cluster.pods == {}


def test_a_pod_that_no_node_takes(
    stand_in: StandIn,
    cluster: FakeKubernetes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """How long it is waited for stands in the profile."""
    monkeypatch.setenv("AIRFLOW__TWIN__PROFILES", str(tmp_path))
    for path in (ROOT / "include" / "profiles").glob("*.yaml"):
        text = path.read_text(encoding="utf-8").replace('seconds: "900"', 'seconds: "2"')
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    cluster.unschedulable = True
    state, _ = run()
    assert state == "failed"
    shown = capsys.readouterr().out
    assert "Unschedulable: 0/1 nodes are available" in shown
    assert "no node has room for profile cpu" in shown
    assert cluster.pods == {}, "the pod would start later, unwatched"


def test_a_pod_in_a_queue_waits_and_is_not_late(
    stand_in: StandIn, cluster: FakeKubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for its profile, which gives it 2 s to be scheduled, nor for its task."""
    monkeypatch.setenv("AIRFLOW__TWIN__PROFILES", str(tmp_path))
    for path in (ROOT / "include" / "profiles").glob("*.yaml"):
        text = path.read_text(encoding="utf-8").replace('seconds: "900"', 'seconds: "2"')
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    stand_in.does("features build", seconds=1, ids={"version": "7"})
    cluster.queued = True

    def admit() -> None:
        wait_until(lambda: bool(cluster.pods), "the pod is made", 120)
        time.sleep(12)
        cluster.admit()

    threading.Thread(target=admit, daemon=True).start()
    state, xcoms = run(execution_timeout=datetime.timedelta(seconds=12))
    assert state == "success"
    assert xcoms["ids"] == {"version": "7"}
    assert len(cluster.created) == 1, "it was given up, and tried again"


def test_a_pod_that_is_taken_from_a_queue(
    stand_in: StandIn, cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.queued = True

    def lose() -> None:
        wait_until(lambda: bool(cluster.pods), "the pod is made", 120)
        time.sleep(1)
        cluster.lose_pods()

    threading.Thread(target=lose, daemon=True).start()
    state, _ = run()
    assert state == "failed"
    assert "features build for recipe handbook lost its pod twin-features-build-" in (
        capsys.readouterr().out
    )


def test_a_pod_that_is_taken_away(
    stand_in: StandIn, cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.does("features build", seconds=120)

    def lose() -> None:
        def runs() -> bool:
            pods = list(cluster.pods.values())
            return any(pod["status"]["phase"] == "Running" for pod in pods)

        wait_until(runs, "the pod runs", 120)
        time.sleep(3)  # the operator is told so, and begins to watch it
        cluster.lose_pods()

    threading.Thread(target=lose, daemon=True).start()
    state, _ = run()
    assert state == "failed"
    assert "features build for recipe handbook lost its pod twin-features-build-" in (
        capsys.readouterr().out
    )
