"""Traces of served answers in MLflow, and deleting those whose time is over.

Traces of evaluations lie in the same experiment, and stay: they belong to their runs.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from twin.stores.mlflow_rest import MlflowRest

#: Name of an answer's first span, which no other trace has.
NAME = "answer"

_SEARCH = "/api/3.0/mlflow/traces/search"
_SOME = 100  # traces of one request


class AnswerTraces(MlflowRest):
    """The traces of answers; errors are those of `MlflowRest`."""

    def prune(self, experiment: str, before: datetime) -> Iterator[int]:
        """Delete the traces of answers that began before a moment; yields how many at a time.

        Killed in between, the next call goes on. An experiment that is not there has none.
        """
        found = self._get("experiments/get-by-name", experiment_name=experiment)
        if found is None:
            return
        id_ = found["experiment"]["experiment_id"]
        while ids := self._ids(id_, before):
            body = {"experiment_id": id_, "request_ids": ids}
            deleted = int(self._post("traces/delete-traces", body).get("traces_deleted", 0))
            if not deleted:
                return  # somebody else deletes them just now
            yield deleted

    def _ids(self, experiment_id: str, before: datetime) -> list[str]:
        """Ids of some that are to go."""
        moment = int(before.timestamp() * 1000)
        place = {"experiment_id": experiment_id}
        body: dict[str, Any] = {
            "locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": place}],
            "filter": f"trace.timestamp_ms < {moment} AND span.name = '{NAME}'",
            "max_results": _SOME,
        }
        return [str(each["trace_id"]) for each in self._post(_SEARCH, body).get("traces", [])]
