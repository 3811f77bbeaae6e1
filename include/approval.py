"""A person's decision on a candidate, asked for with the evidence of its evaluation."""

import datetime
from typing import Any

from airflow.providers.standard.exceptions import HITLTimeoutError
from airflow.providers.standard.operators.hitl import HITLOperator

APPROVE = "Approve"
REJECT = "Reject"


class Approval(HITLOperator):
    """Asks whether to promote a version, and waits without a worker slot until somebody answers.

    What is shown is what `twin evaluation run` has left as ``evidence`` in its ``detail``: figures
    with intervals, the reasons of the verdict, answers side by side, and where the report is.

    Args:
        evaluation: id of the task that ran the evaluation.
        response_timeout: after which the task fails, and nothing else happens.
        **more: of the operator.
    """

    def __init__(
        self, *, evaluation: str, response_timeout: datetime.timedelta, **more: Any
    ) -> None:
        super().__init__(
            subject=f"Promote version {left_by(evaluation, 'ids', 'version')} of "
            f"{left_by(evaluation, 'ids', 'model')}?",
            body=left_by(
                evaluation,
                "detail",
                "evidence",
                otherwise="The evaluation has left no evidence: read its log before you approve.",
            ),
            options=[APPROVE, REJECT],
            response_timeout=response_timeout,
            **more,
        )

    def process_trigger_event_error(self, event: dict[str, Any]) -> None:
        """Say what it means that nobody has answered.

        Raises:
            HITLTimeoutError: the time is over.
        """
        if event["error_type"] == "timeout":
            waited = str(self.response_timeout).removesuffix(", 0:00:00")
            raise HITLTimeoutError(
                f"nobody answered within {waited}: nothing is promoted or rejected, the champion "
                "stays as it is, and the next run of the evaluation asks again"
            )
        super().process_trigger_event_error(event)


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
