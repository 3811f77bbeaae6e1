"""A person's decision, asked for with evidence: on a candidate, or on one that has its share."""

import datetime
from typing import Any

from airflow.providers.standard.exceptions import HITLTimeoutError
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from include.pipelines import RECIPE_OF_JOB, RECIPE_OF_TASK

APPROVE = "Approve"
REJECT = "Reject"
#: What `twin rollout` says of a version that a person has to approve.
AWAITS = "awaiting approval"


class Approval(HITLOperator):
    """Asks a person, and waits without a worker slot until somebody answers.

    Args:
        unanswered: what it means that nobody has answered in time, for the error that says so.
        response_timeout: after which the task fails, and nothing else happens.
        **more: of the operator.
    """

    def __init__(
        self, *, unanswered: str, response_timeout: datetime.timedelta, **more: Any
    ) -> None:
        super().__init__(
            options=[APPROVE, REJECT],
            response_timeout=response_timeout,
            # A retry would ask for as long again.
            retries=0,
            execution_timeout=None,
            **more,
        )
        self.unanswered = unanswered

    def process_trigger_event_error(self, event: dict[str, Any]) -> None:
        """Say what it means that nobody has answered.

        Raises:
            HITLTimeoutError: the time is over.
        """
        if event["error_type"] == "timeout":
            waited = str(self.response_timeout).removesuffix(", 0:00:00")
            raise HITLTimeoutError(f"nobody answered within {waited}: {self.unanswered}")
        super().process_trigger_event_error(event)


@task(map_index_template=RECIPE_OF_TASK)
def answered(answer: str, recipe: str, asked_by: str, *, ti: Any = None) -> None:
    """Skip what follows unless this is what the person answered.

    An approval or branch operator would not do: what it leaves out runs all the same in a mapped
    task group, because Airflow looks for its note under map index -1.

    Args:
        answer: that what follows is for.
        recipe: of the task group.
        asked_by: id of the task that asked.
        ti: this task's instance.
    """
    told = ti.xcom_pull(task_ids=asked_by, map_indexes=ti.map_index)
    if told["chosen_options"] != [answer]:
        raise AirflowSkipException(f"the answer about recipe {recipe!r} is another")


class AskForTraffic(TriggerDagRunOperator):
    """Has a person asked, by a run of *full_traffic*, if a version waits for one.

    The run is named by the version and the time since when it waits: whoever finds it waiting later
    asks nothing again, also while nobody has answered.

    Args:
        recipe: of the task group.
        brought_by: id of the task that brought the version in; it may have found it waiting.
        **more: of the operator.
    """

    template_fields = ("recipe", *TriggerDagRunOperator.template_fields)

    def __init__(self, *, recipe: Any, brought_by: str, **more: Any) -> None:
        super().__init__(
            trigger_dag_id="full_traffic",
            skip_when_already_exists=True,
            map_index_template=RECIPE_OF_JOB,
            execution_timeout=datetime.timedelta(minutes=5),
            **more,
        )
        self.recipe = recipe
        self.brought_by = brought_by

    def execute(self, context: Any) -> None:
        """Start the run that asks.

        Raises:
            AirflowSkipException: no version waits.
        """
        ti = context["ti"]
        detail, ids = (
            ti.xcom_pull(task_ids=self.brought_by, key=key, map_indexes=ti.map_index) or {}
            for key in ("detail", "ids")
        )
        if detail.get("decision") != AWAITS:
            raise AirflowSkipException(f"nobody is asked about recipe {self.recipe!r}")
        version = ids["model_version"]
        self.trigger_run_id = f"{self.recipe}-v{version}-{detail['since']}"
        self.conf = {"recipe": self.recipe, "version": version, "evidence": detail["evidence"]}
        super().execute(context)


def left_by(task_id: str, key: str, name: str, otherwise: str = "") -> str:
    """Template of a value that the task of the same recipe has left in its result.

    Args:
        task_id: of the task.
        key: of the XCom, which holds a dictionary.
        name: in the dictionary.
        otherwise: what to show where there is none.
    """
    pulled = f"ti.xcom_pull(task_ids='{task_id}', key='{key}', map_indexes=ti.map_index)"
    return f"{{{{ ({pulled} or {{}}).get('{name}') or '{otherwise}' }}}}"
