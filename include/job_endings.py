"""How a job ended: by its exit status, by a signal, and by what Kubernetes says of its pod."""

import signal
from typing import TYPE_CHECKING

from airflow.sdk.observability import stats

if TYPE_CHECKING:
    from kubernetes.client import models as k8s

#: Exit statuses of `twin.domain.errors`.
DONE, BAD_DATA, TRY_AGAIN, BAD_CONFIGURATION, NOTHING_TO_DO = 0, 65, 75, 78, 99

#: Airflow's metric of jobs that took more memory than their profile allows; the chart's alert
#: TwinJobOutOfMemory reads it.
OUT_OF_MEMORY = "twin.jobs_out_of_memory"

#: What to do about what Kubernetes says of a pod.
ADVICE = {
    "OOMKilled": "it took more memory than limits.memory of profile {profile} allows: "
    "ask for more in resources of the recipe, or change the profile",
    "Evicted": "the node needed room, or a volume outgrew its sizeLimit in profile {profile}",
    "DeadlineExceeded": "it ran longer than activeDeadlineSeconds of profile {profile} allows",
    "Unschedulable": "no node has room for profile {profile}, and none was added in time",
    "ErrImageNeverPull": "is image {image} on the node?",
    "ErrImagePull": "is image {image} in the registry, and may the nodes pull it?",
    "ImagePullBackOff": "is image {image} in the registry, and may the nodes pull it?",
    "InvalidImageName": "do [twin] image_repository, image_tag and image_digests make a name?",
    "CreateContainerConfigError": "the chart llm-twin makes twin-settings and twin-credentials-…",
}


def how_it_ended(status: int | None) -> str:
    """How a job ended: a child's negative status, or a container's above 128, is a signal."""
    if status is None:
        return "did not end by itself"
    number = -status if status < 0 else status - 128
    if number in set(signal.Signals):
        return f"was killed by signal {number}"
    return f"ended with status {status}"


def _container_state(pod: "k8s.V1Pod", container: str) -> "k8s.V1ContainerState | None":
    statuses = (pod.status.container_statuses if pod.status else None) or ()
    return next((one.state for one in statuses if one.name == container), None)


def exit_status(pod: "k8s.V1Pod", container: str) -> int | None:
    """The exit status of a container that has ended; None of one that has not."""
    state = _container_state(pod, container)
    return state.terminated.exit_code if state and state.terminated else None


def last_words(pod: "k8s.V1Pod", container: str) -> tuple[str, list[str]]:
    """What there is to know of an ended or never started pod.

    Returns:
        Kubernetes' own word for it, such as ``OOMKilled``, or nothing; and lines to show, the most
        telling one last.
    """
    words: list[str] = []
    found: list[tuple[str, str]] = []
    state = _container_state(pod, container)
    if state and state.terminated:
        words += (state.terminated.message or "").splitlines()
        if state.terminated.reason not in (None, "Error", "Completed"):
            found.append((state.terminated.reason, ""))
    if state and state.waiting:
        found.append((state.waiting.reason, state.waiting.message or "container waits"))
    found += [
        (condition.reason, condition.message)
        for condition in (pod.status.conditions if pod.status else None) or ()
        if condition.type == "PodScheduled" and condition.status == "False"
    ]
    if pod.status and pod.status.reason:  # such as Evicted, DeadlineExceeded
        found.append((pod.status.reason, pod.status.message or ""))
    elif pod.metadata.deletion_timestamp:
        found.append(("Deleted", f"somebody or something deleted the pod {pod.metadata.name}"))
    words += [": ".join(filter(None, pair)) for pair in found]
    return (found[-1][0] if found else ""), words


def count_ending(reason: str) -> None:
    """Count an ending that an alert is about; the metrics of a pod go with the pod."""
    if reason == "OOMKilled":
        stats.incr(OUT_OF_MEMORY)
