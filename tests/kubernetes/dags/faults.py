"""
# Faults

One DAG a pod profile, each with a job that does what its recipe's name says. What fails and may go
again waits for its next try so long that a test can look at it; in `fault_again` it goes at once.
"""

import datetime
import os
import signal
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Param

from include.jobs import JobOperator
from include.runtime import read_runtime

if TYPE_CHECKING:
    from airflow.sdk import Context


class DyingWorkerJob(JobOperator):
    """At its first try the worker dies, as its machine would, when the pod has been started."""

    def invoke_defer_method(
        self, last_log_time: Any = None, context: "Context | None" = None
    ) -> None:
        """Kill the worker, then this task; or leave it as usual."""
        if context is not None and context["ti"].try_number == 1:
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        super().invoke_defer_method(last_log_time, context)


def fault(name: str, operator: type[JobOperator] = JobOperator, **more: Any) -> None:
    """A DAG ``fault_<name>`` with one job."""
    with DAG(
        f"fault_{name}",
        doc_md=__doc__,
        schedule=None,
        params={"recipe": Param("exit-0", type="string")},
    ):
        operator(
            task_id="job",
            recipe="{{ params.recipe }}",
            **{
                "job": "training sft",
                "retries": 1,
                "retry_delay": datetime.timedelta(hours=1),
                **more,
            },
        )


for profile in sorted(path.stem for path in read_runtime().profiles.glob("*.yaml")):
    fault(profile, profile=profile)
AGAIN = {"retries": 3, "retry_delay": datetime.timedelta(seconds=1)}
fault("again", **AGAIN)
fault("dying_worker", DyingWorkerJob, **AGAIN)
fault("no_image", job="rollout start")
fault("impatient", execution_timeout=datetime.timedelta(seconds=20))
