"""
# Overhead

The same job, two seconds of sleep, in every way in which a task can run one.
"""

import datetime
import os
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG

from include.jobs import JobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

#: The stand-in `twin`, which also runs without its image.
STAND_IN = os.path.join(os.path.dirname(os.path.dirname(__file__)), "stand_in")  # noqa: PTH118, PTH120
TASKS = int(os.environ.get("BENCH_TASKS", "100"))


class ChildProcessJob(JobOperator):
    """Runs its job as a child process, whatever the runtime of this Airflow is."""

    def execute(self, context: "Context") -> None:
        """Run the job to its end."""
        os.environ["AIRFLOW__TWIN__RUNTIME"] = "local"
        os.environ["AIRFLOW__TWIN__JOBS_BIN"] = STAND_IN
        super().execute(context)


class SyncJob(JobOperator):
    """Keeps its worker while the pod runs."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deferrable = False


WAYS = {"child": ChildProcessJob, "sync": SyncJob, "deferrable": JobOperator}
for way, operator in WAYS.items():
    with DAG(f"overhead_{way}", doc_md=__doc__, schedule=None):
        operator(task_id="job", job="training sft", recipe="sleep-2", profile="cpu")

with DAG("overhead_mapped", doc_md=__doc__, schedule=None, max_active_tasks=TASKS):
    JobOperator.partial(
        task_id="job",
        job="training sft",
        profile="cpu",
        retries=3,
        retry_delay=datetime.timedelta(seconds=5),
    ).expand(recipe=[f"sleep-{1 + number % 3}" for number in range(TASKS)])
