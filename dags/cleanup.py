"""
# Cleanup

Deletes pods of jobs that no task waits for any more, every hour. There should be none: Airflow
deletes the pod of a task when the job ends and when the task is stopped. One is left if the
triggerer was down when a task was stopped, and one hangs if its node went away for good.

**Reads** the jobs' pods and the states of their tasks. **Writes** nothing but deletions; the task's
log names each pod and why it went.
"""

import datetime
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, Param, task
from airflow.sdk.exceptions import AirflowSkipException

from include.orphans import Owner, delete_orphans
from include.pipelines import shared
from include.runtime import Mode, read_runtime

KUBERNETES_CONNECTION = "kubernetes_default"


@task(execution_timeout=datetime.timedelta(minutes=10))
def delete_orphan_pods(*, params: dict[str, Any], ti: Any = None) -> list[str]:
    """Delete the orphans; returns a line for each."""
    import logging

    from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook

    runtime = read_runtime()
    if runtime.runtime is Mode.LOCAL:
        raise AirflowSkipException("jobs are child processes here ([twin] runtime = local)")

    def state_of(owner: Owner) -> str | None:
        states = ti.get_task_states(
            dag_id=owner.dag_id, task_ids=[owner.task_id], run_ids=[owner.run_id]
        )
        mapped = f"_{owner.map_index}" if owner.map_index >= 0 else ""
        state: str | None = states[owner.run_id][owner.task_id + mapped]
        return state

    done = delete_orphans(
        KubernetesHook(KUBERNETES_CONNECTION).core_v1_client,
        runtime.namespace,
        state_of,
        older_than=datetime.timedelta(minutes=params["minutes"]),
    )
    log = logging.getLogger(__name__)
    for line in done:
        log.warning("Deleted the orphan %s", line)
    log.info("%d orphans deleted", len(done))
    return done


with DAG(
    "cleanup",
    description="Delete pods that no task waits for any more.",
    doc_md=__doc__,
    schedule=CronTriggerTimetable(
        "17 * * * *", timezone="UTC", run_immediately=datetime.timedelta(0)
    ),
    **shared(
        tags=["hourly"],
        params={
            "minutes": Param(
                5,
                type="integer",
                minimum=0,
                title="Age in minutes",
                description="Younger pods are left alone.",
            )
        },
    ),
) as dag:
    delete_orphan_pods()
