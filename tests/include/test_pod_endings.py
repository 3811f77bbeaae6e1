"""What a pod's status says of its end."""

import pytest
from kubernetes.client import models as k8s

from include import pod_endings
from include.pod_endings import ADVICE, OUT_OF_MEMORY, count_ending, exit_status, how, last_words


def ended(status: int, reason: str, message: str = "") -> k8s.V1Pod:
    terminated = k8s.V1ContainerStateTerminated(exit_code=status, reason=reason, message=message)
    base = k8s.V1ContainerStatus(
        name="base", image="i", image_id="i", ready=False, restart_count=0,
        state=k8s.V1ContainerState(terminated=terminated),
    )  # fmt: skip
    return k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(name="a-pod"),
        status=k8s.V1PodStatus(phase="Failed", container_statuses=[base]),
    )


def test_a_job_out_of_memory() -> None:
    pod = ended(137, "OOMKilled", "step 12")
    assert exit_status(pod, "base") == 137
    assert how(137) == "was killed by signal 9"
    reason, words = last_words(pod, "base")
    assert reason == "OOMKilled" and words == ["step 12", "OOMKilled"]
    assert "limits.memory" in ADVICE[reason]


def test_a_job_that_failed_by_itself() -> None:
    reason, words = last_words(ended(65, "Error", "twin x: error: no such recipe"), "base")
    assert (reason, words) == ("", ["twin x: error: no such recipe"])
    assert how(65) == "ended with status 65"


def test_a_pod_that_never_ran() -> None:
    pod = k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(name="a-pod"),
        status=k8s.V1PodStatus(
            phase="Pending",
            conditions=[
                k8s.V1PodCondition(
                    type="PodScheduled", status="False", reason="Unschedulable",
                    message="0/1 nodes are available",
                )
            ],
        ),
    )  # fmt: skip
    assert exit_status(pod, "base") is None
    assert last_words(pod, "base") == ("Unschedulable", ["Unschedulable: 0/1 nodes are available"])


def test_jobs_out_of_memory_are_counted_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    monkeypatch.setattr(pod_endings.stats, "incr", counted.append)
    for reason in ("OOMKilled", "Evicted", ""):
        count_ending(reason)
    assert counted == [OUT_OF_MEMORY]
