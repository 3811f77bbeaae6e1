"""How a job's end is told: exit statuses and signals, and what Kubernetes says of a pod."""

import datetime
from typing import Any

import pytest
from kubernetes.client import models as k8s

from include import job_endings
from include.job_endings import OUT_OF_MEMORY, count_ending, exit_status, how_it_ended, last_words

NOW = datetime.datetime.now(datetime.UTC)
OTHER = k8s.V1ContainerStatus(
    name="sidecar", ready=False, image="i", image_id="1", restart_count=0,
    state=k8s.V1ContainerState(
        terminated=k8s.V1ContainerStateTerminated(exit_code=3, message="of the sidecar")
    ),
)  # fmt: skip


def pod(state: k8s.V1ContainerState | None = None, **status: Any) -> k8s.V1Pod:
    """A pod whose base container, the second of two, is in this state."""
    base = k8s.V1ContainerStatus(
        name="base", ready=False, image="i", image_id="1", restart_count=0, state=state
    )
    deleted = status.pop("deleted", None)
    return k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(name="a-pod", deletion_timestamp=deleted),
        status=k8s.V1PodStatus(container_statuses=[OTHER, base] if state else None, **status),
    )


def terminated(**ending: Any) -> k8s.V1ContainerState:
    return k8s.V1ContainerState(terminated=k8s.V1ContainerStateTerminated(**ending))


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (None, "did not end by itself"),
        (1, "ended with status 1"),
        (75, "ended with status 75"),
        (128, "ended with status 128"),
        (129, "was killed by signal 1"),
        (137, "was killed by signal 9"),
        (-9, "was killed by signal 9"),
        (-15, "was killed by signal 15"),
        (255, "ended with status 255"),
    ],
)
def test_a_status_in_words(status: int | None, text: str) -> None:
    assert how_it_ended(status) == text


def test_the_exit_status_is_the_base_containers() -> None:
    assert exit_status(pod(terminated(exit_code=65)), "base") == 65
    waiting = k8s.V1ContainerState(waiting=k8s.V1ContainerStateWaiting(reason="ErrImagePull"))
    assert exit_status(pod(waiting), "base") is None
    assert exit_status(pod(), "base") is None
    assert exit_status(k8s.V1Pod(), "base") is None


@pytest.mark.parametrize("reason", [None, "Error", "Completed"])
def test_what_the_container_said_last_where_kubernetes_knows_no_more(reason: str | None) -> None:
    ended = pod(terminated(exit_code=1, message="first\nlast", reason=reason))
    assert last_words(ended, "base") == ("", ["first", "last"])


def test_kubernetes_reason_stands_behind_what_the_container_said() -> None:
    ended = pod(terminated(exit_code=137, message="at work", reason="OOMKilled"))
    assert last_words(ended, "base") == ("OOMKilled", ["at work", "OOMKilled"])


@pytest.mark.parametrize(
    ("message", "words"),
    [("no such image", "ErrImagePull: no such image"), (None, "ErrImagePull: container waits")],
)
def test_a_container_that_never_started(message: str | None, words: str) -> None:
    state = k8s.V1ContainerStateWaiting(reason="ErrImagePull", message=message)
    found = last_words(pod(k8s.V1ContainerState(waiting=state)), "base")
    assert found == ("ErrImagePull", [words])


def test_a_pod_that_no_node_took() -> None:
    conditions = [
        k8s.V1PodCondition(
            type="PodScheduled", status="False", reason="Unschedulable", message="0/3 nodes"
        ),
        k8s.V1PodCondition(type="Ready", status="False", reason="NotReady", message="no"),
    ]
    found = last_words(pod(conditions=conditions), "base")
    assert found == ("Unschedulable", ["Unschedulable: 0/3 nodes"])
    conditions[0].status = "True"
    assert last_words(pod(conditions=conditions), "base") == ("", [])


def test_a_pod_that_was_evicted_or_deleted() -> None:
    evicted = pod(terminated(exit_code=137, reason="Error"), reason="Evicted", message="no room")
    assert last_words(evicted, "base") == ("Evicted", ["Evicted: no room"])
    deleted = pod(deleted=NOW)
    words = "Deleted: somebody or something deleted the pod a-pod"
    assert last_words(deleted, "base") == ("Deleted", [words])


def test_jobs_out_of_memory_are_counted_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    monkeypatch.setattr(job_endings.stats, "incr", counted.append)
    for reason in ("OOMKilled", "Evicted", ""):
        count_ending(reason)
    assert counted == [OUT_OF_MEMORY]
