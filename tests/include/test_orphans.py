"""Which pods are deleted as orphans, against a small API of pods."""

import datetime
import os
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, config

from include.job_pods import DAG_ID, MAP_INDEX, RUN_ID, TASK_ID
from include.orphans import Owner, delete_orphans
from tests.kubernetes_api import FakeKubernetes, fake_kubernetes


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    with fake_kubernetes({}) as made:
        yield made


def add(cluster: FakeKubernetes, name: str, *, minutes: float = 60, **metadata: Any) -> None:
    """A pod that is so old; its task bears the pod's name."""
    owner = {DAG_ID: "features", RUN_ID: "a run", TASK_ID: name, MAP_INDEX: "0"}
    cluster.pods[name] = {
        "metadata": {
            "name": name, "namespace": "twins", "labels": {"app.kubernetes.io/name": "twin-job"},
            "annotations": owner, "creationTimestamp": ago(minutes), **metadata,
        },
        "spec": {"containers": [{"name": "base"}], "nodeName": "node-7"},
        "status": {"phase": "Running"},
    }  # fmt: skip


def ago(minutes: float) -> str:
    now = datetime.datetime.now(datetime.UTC)
    return (now - datetime.timedelta(minutes=minutes)).isoformat()


def delete(states: dict[str, str | None]) -> list[str]:
    def state_of(owner: Owner) -> str | None:
        assert (owner.dag_id, owner.run_id, owner.map_index) == ("features", "a run", 0)
        return states[owner.task_id]

    api = client.CoreV1Api(config.new_client_from_config(os.environ["KUBECONFIG"]))
    return delete_orphans(api, "twins", state_of, older_than=datetime.timedelta(minutes=5))


def test_pods_whose_task_has_ended(cluster: FakeKubernetes) -> None:
    ended = ["success", "failed", "skipped", "upstream_failed", "removed"]
    waiting = ["running", "deferred", "up-for-retry", "queued", "none"]
    for state in (*ended, *waiting):
        add(cluster, state.replace("_", "-"))
    states: dict[str, str | None] = {state.replace("_", "-"): state for state in ended}
    states |= {state: state.replace("-", "_") for state in waiting} | {"none": None}
    done = delete(states)
    assert sorted(cluster.pods) == sorted(waiting)
    assert "failed: the task failed of features ended as failed" in done
    assert len(done) == len(ended)


def test_a_pod_whose_run_was_deleted(cluster: FakeKubernetes) -> None:
    add(cluster, "nobodys")
    (line,) = delete({})
    assert line == "nobodys: the run a run of features no longer exists"
    assert cluster.pods == {}


def test_a_young_pod_is_left_to_its_task(cluster: FakeKubernetes) -> None:
    add(cluster, "young", minutes=1)
    assert delete({"young": "success"}) == []
    assert "young" in cluster.pods


def test_what_is_nobodys_business(cluster: FakeKubernetes) -> None:
    add(cluster, "by-hand", annotations={})
    add(cluster, "other", labels={"app.kubernetes.io/name": "qdrant"})
    assert delete({}) == []
    assert sorted(cluster.pods) == ["by-hand", "other"]


def test_a_pod_that_hangs_in_its_deletion_is_forced(cluster: FakeKubernetes) -> None:
    """Else a task whose node is gone would wait for it until its execution timeout."""
    add(cluster, "hanging", deletionTimestamp=ago(11))
    add(cluster, "going", deletionTimestamp=ago(1))
    assert delete({"going": "running"}) == ["hanging: hung in its deletion on node node-7"]
    assert sorted(cluster.pods) == ["going"]
    assert cluster.grace_periods == {"hanging": 0}
