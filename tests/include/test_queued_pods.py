"""Pods in a queue of jobs, and the tasks that wait for them."""

import asyncio
import datetime
import json
import os
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.providers.cncf.kubernetes.triggers.pod import KubernetesPodTrigger
from airflow.sdk.exceptions import TaskDeferred
from kubernetes.client import models as k8s

from include import queued_pods
from include.job_pods import SCHEDULE_TIMEOUT
from include.jobs import JobOperator
from include.queued_pods import QUEUED_SECONDS, QueuedPodTrigger, is_queued
from tests.kubernetes_api import FakeKubernetes, fake_kubernetes

GATE = k8s.V1PodSchedulingGate(name="kueue.x-k8s.io/admission")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    monkeypatch.setattr(queued_pods, "SECONDS_BETWEEN_LOOKS", 0.1)
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", '{"conn_type": "kubernetes"}')
    with fake_kubernetes({}) as made:
        made.queued = True
        yield made


def make_pod() -> None:
    """A pod that ends at once, where KUBECONFIG leads."""
    config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text(encoding="utf-8"))
    server = config["clusters"][0]["cluster"]["server"]
    container = {"name": "base", "args": ["true"], "terminationMessagePolicy": "File"}
    pod = {"metadata": {"name": "a-pod"}, "spec": {"containers": [container]}}
    request = urllib.request.Request(
        f"{server}/api/v1/namespaces/twins/pods", data=json.dumps(pod).encode(), method="POST"
    )
    urllib.request.urlopen(request, timeout=10).close()


def trigger(**more: Any) -> KubernetesPodTrigger:
    return KubernetesPodTrigger(
        pod_name="a-pod", pod_namespace="twins", base_container_name="base",
        trigger_start_time=datetime.datetime.now(tz=datetime.UTC),
        kubernetes_conn_id="kubernetes_default", **more,
    )  # fmt: skip


async def first_event(waiting: QueuedPodTrigger) -> dict[str, Any]:
    async for event in waiting.run():
        return dict(event.payload)
    raise AssertionError("it fired nothing")


def test_it_fires_when_the_pod_is_let_go(cluster: FakeKubernetes) -> None:
    make_pod()
    threading.Timer(1.5, cluster.admit).start()
    event = asyncio.run(first_event(QueuedPodTrigger.before(trigger(schedule_timeout=0))))
    assert (event["name"], event["namespace"]) == ("a-pod", "twins")
    assert 1 < event[QUEUED_SECONDS] < 30


def test_it_fires_when_the_pod_is_gone(cluster: FakeKubernetes) -> None:
    started = time.monotonic()
    event = asyncio.run(first_event(QueuedPodTrigger.before(trigger())))
    assert event["name"] == "a-pod"
    assert time.monotonic() - started < 30


def test_the_triggerer_makes_the_same_again() -> None:
    path, arguments = QueuedPodTrigger.before(trigger(on_kill_action="delete_pod")).serialize()
    assert path == "include.queued_pods.QueuedPodTrigger"
    again = QueuedPodTrigger(**arguments)
    assert again.serialize() == (path, arguments)
    assert again.on_kill_action == "delete_pod", "a stopped task leaves no pod in the queue"


def waiting_task(pod: k8s.V1Pod, **more: Any) -> tuple[JobOperator, TaskDeferred]:
    """A task that leaves its worker for this pod, and how it does."""
    task = JobOperator(
        task_id="t", job="features build", recipe="handbook",
        execution_timeout=datetime.timedelta(hours=1), **more,
    )  # fmt: skip
    task.pod = pod

    class Ti:
        start_date = datetime.datetime.now(tz=datetime.UTC)

    with pytest.raises(TaskDeferred) as raised:
        task.invoke_defer_method(context={"ti": Ti()})  # type: ignore[typeddict-item]
    return task, raised.value


def pod(*gates: k8s.V1PodSchedulingGate) -> k8s.V1Pod:
    return k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(
            name="a-pod", namespace="twins", annotations={SCHEDULE_TIMEOUT: "7"}
        ),
        spec=k8s.V1PodSpec(
            containers=[k8s.V1Container(name="base")], scheduling_gates=list(gates) or None
        ),
        status=k8s.V1PodStatus(phase="Pending"),
    )


def test_a_task_waits_for_a_queued_pod_without_an_end() -> None:
    _, deferred = waiting_task(pod(GATE))
    assert isinstance(deferred.trigger, QueuedPodTrigger)
    assert deferred.method_name == "leave_queue"
    assert deferred.timeout is None


def test_a_pod_that_is_let_go_has_its_whole_time() -> None:
    """Both of its profile and of its task, to which the queue is added."""
    _, usual = waiting_task(pod())
    task, late = waiting_task(pod(), trigger_kwargs={QUEUED_SECONDS: 5000.0})
    for deferred in (usual, late):
        assert type(deferred.trigger) is KubernetesPodTrigger
        assert deferred.trigger.schedule_timeout == 7
        assert deferred.method_name == "trigger_reentry"
    deadlines = [one.trigger.trigger_kwargs["_execution_deadline"] for one in (usual, late)]
    assert 4990 < deadlines[1] - deadlines[0] < 5060
    assert late.timeout - usual.timeout > datetime.timedelta(seconds=4900)
    assert task.execution_timeout == datetime.timedelta(hours=1)


def test_what_is_queued() -> None:
    assert is_queued(pod(GATE))
    assert not is_queued(pod()) and not is_queued(None)
