"""Pods of jobs that no task waits for any more.

Airflow removes the pod of every task itself: when the job ends, and when the task is stopped. What
is left all the same (the triggerer was down when a task was stopped, a worker died with the
answer of the API server, a node went and its pod hangs in its deletion) is found here.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.job_pods import DAG_ID, MAP_INDEX, RUN_ID, TASK_ID

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api
    from kubernetes.client import models as k8s

#: Label of every profile.
SELECTOR = "app.kubernetes.io/name=twin-job"
#: A pod that outlives the end of its deletion by so long hangs on a node that does not answer.
HANGING = datetime.timedelta(minutes=10)
#: States after which a task wants nothing more of its pod. A task that waits for its next try is
#: none of them: it takes up a pod that still runs.
FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


@dataclass(frozen=True)
class Owner:
    """The task that a pod was started for."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


#: Answers the state of a task; raises LookupError if there is no such task (any more).
StateOf = Callable[[Owner], str | None]


def delete_orphans(
    client: "CoreV1Api", namespace: str, state_of: StateOf, *, older_than: datetime.timedelta
) -> list[str]:
    """Delete the orphans among the jobs' pods.

    Args:
        client: of Kubernetes' API; needs the rights to list and delete pods.
        namespace: of the jobs' pods.
        state_of: asked for each pod's task.
        older_than: younger pods are left alone: a task that ends is just deleting its own.

    Returns:
        What was done, one line a pod.

    Raises:
        ApiException: Kubernetes refuses or does not answer.
    """
    now = datetime.datetime.now(datetime.UTC)
    done = []
    for pod in client.list_namespaced_pod(namespace, label_selector=SELECTOR).items:
        name, reason = pod.metadata.name, None
        if pod.metadata.deletion_timestamp:
            if now - pod.metadata.deletion_timestamp > HANGING:
                # Without the node's word that it has ended: the node is not coming back.
                _delete(client, pod, grace_period_seconds=0)
                reason = f"hung in its deletion on node {pod.spec.node_name}"
        elif now - pod.metadata.creation_timestamp >= older_than:
            reason = _why_orphan(pod, state_of)
            if reason:
                _delete(client, pod)
        if reason:
            done.append(f"{name}: {reason}")
    return done


def owner_of(pod: "k8s.V1Pod") -> Owner | None:
    """The task that a pod was started for; None if it does not say."""
    notes = pod.metadata.annotations or {}
    try:
        return Owner(notes[DAG_ID], notes[RUN_ID], notes[TASK_ID], int(notes[MAP_INDEX]))
    except (KeyError, ValueError):
        return None


def _why_orphan(pod: "k8s.V1Pod", state_of: StateOf) -> str | None:
    owner = owner_of(pod)
    if owner is None:
        return None  # somebody started it by hand, from the same template
    try:
        state = state_of(owner)
    except LookupError:
        return f"the run {owner.run_id} of {owner.dag_id} no longer exists"
    if state in FINISHED:
        return f"the task {owner.task_id} of {owner.dag_id} ended as {state}"
    return None


def _delete(client: "CoreV1Api", pod: "k8s.V1Pod", **options: int) -> None:
    from kubernetes.client.exceptions import ApiException

    try:
        client.delete_namespaced_pod(pod.metadata.name, pod.metadata.namespace, **options)
    except ApiException as error:
        if error.status != 404:  # gone meanwhile
            raise
