"""A person's decision, asked for with evidence: on a candidate, or on one that has its share."""

import datetime
from typing import Any

from airflow.providers.standard.exceptions import HITLTimeoutError
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import TriggerRule, task
from airflow.sdk.exceptions import AirflowSkipException

from include.assets import canary
from include.pipelines import RECIPE_OF_TASK

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


@task(outlets=[canary], trigger_rule=TriggerRule.NONE_FAILED, map_index_template=RECIPE_OF_TASK)
def ask_for_traffic(
    recipe: str, brought_by: str, *, ti: Any = None, outlet_events: Any = None
) -> None:
    """Have a person asked, if a version waits for one; what it is asked with goes along.

    Args:
        recipe: of the task group.
        brought_by: id of the task that brought the version in; it may have found it waiting.
        ti: this task's instance.
        outlet_events: of the asset.
    """
    detail, ids = (
        ti.xcom_pull(task_ids=brought_by, key=key, map_indexes=ti.map_index) or {}
        for key in ("detail", "ids")
    )
    if detail.get("decision") != AWAITS:
        raise AirflowSkipException(f"nobody is asked about recipe {recipe!r}")
    asked = {"recipe": recipe, "version": ids["model_version"], "evidence": detail["evidence"]}
    outlet_events[canary].extra = {"recipes": [recipe], "asked": asked}


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
