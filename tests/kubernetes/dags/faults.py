"""
# Faults

One DAG a pod profile, each with a job that does what its recipe's name says. What fails and may go
again waits for its next try so long that a test can look at it; in `fault_again` it goes at once.
"""

import datetime
from typing import Any

from airflow.sdk import DAG, Param

from include.jobs import JobOperator
from include.runtime import read_runtime


def fault(name: str, **more: Any) -> None:
    """A DAG ``fault_<name>`` with one job."""
    with DAG(
        f"fault_{name}",
        doc_md=__doc__,
        schedule=None,
        params={"recipe": Param("exit-0", type="string")},
    ):
        JobOperator(
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
fault("again", retries=3, retry_delay=datetime.timedelta(seconds=1))
fault("no_image", job="rollout start")
fault("impatient", execution_timeout=datetime.timedelta(seconds=20))
