"""Traces of served answers in MLflow: those whose time is over go, and those of what is forgotten.

Traces of evaluations lie in the same experiment, and stay: they belong to their runs.
"""

from collections.abc import Collection, Iterator
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
        moment = int(before.timestamp() * 1000)
        yield from self._delete(id_, f"trace.timestamp_ms < {moment} AND span.name = '{NAME}'")

    def forget(self, experiment: str, urls: Collection[str]) -> int:
        """Delete the traces that show a passage of a document at one of these addresses.

        A sign that a pattern would read as its own stands for any sign there: of a trace too many
        that is deleted nobody misses anything. Returns how many were deleted.
        """
        found = self._get("experiments/get-by-name", experiment_name=experiment)
        if found is None:
            return 0
        id_, deleted = found["experiment"]["experiment_id"], 0
        for url in urls:
            pattern = url.replace("'", "_").replace("\\", "_")
            deleted += sum(self._delete(id_, f"span.content LIKE '%{pattern}%'"))
        return deleted

    def _delete(self, experiment_id: str, query: str) -> Iterator[int]:
        """Delete what a query finds; yields how many at a time."""
        while ids := self._ids(experiment_id, query):
            body = {"experiment_id": experiment_id, "request_ids": ids}
            deleted = int(self._post("traces/delete-traces", body).get("traces_deleted", 0))
            if not deleted:
                return  # somebody else deletes them just now
            yield deleted

    def _ids(self, experiment_id: str, query: str) -> list[str]:
        """Ids of some that a query finds."""
        place = {"experiment_id": experiment_id}
        body: dict[str, Any] = {
            "locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": place}],
            "filter": query,
            "max_results": _SOME,
        }
        return [str(each["trace_id"]) for each in self._post(_SEARCH, body).get("traces", [])]
