"""How long the runs of an experiment took, and on how many GPUs, as MLflow has them."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from twin.stores.mlflow_rest import MlflowRest
from twin.stores.tracking import GPUS_TAG

#: MLflow's own tag: a trial of a sweep has it, and runs while its parent does.
PARENT_TAG = "mlflow.parentRunId"
_PAGE = 1_000


class RunTime(BaseModel):
    """One run.

    Attributes:
        step: what was done, such as sft.
        hours: from its start to its end, pauses of a killed job included; to now, or
            to the end of the span asked for, if it is not over: one that was killed never is.
        gpus: that its job was given; 0: none.
    """

    model_config = ConfigDict(frozen=True)

    step: str
    hours: float
    gpus: int = 0

    @property
    def gpu_hours(self) -> float:
        """Hours of all its GPUs."""
        return self.hours * self.gpus


class RunTimes(MlflowRest):
    """The runs of experiments; errors are those of `MlflowRest`."""

    def between(
        self, experiment: str, begin: datetime, end: datetime, now: datetime
    ) -> Iterator[RunTime]:
        """Runs of an experiment that began in a span of time; one that is not there has none.

        A run within another one that is told of is left out: its hours are its parent's.

        Args:
            experiment: name.
            begin: of the span.
            end: of the span, which is not in it.
            now: until which a run that has not ended counts.
        """
        found = self._get("experiments/get-by-name", experiment_name=experiment)
        if found is None:
            return
        body = {
            "experiment_ids": [found["experiment"]["experiment_id"]],
            "filter": f"attributes.start_time >= {int(begin.timestamp() * 1000)} "
            f"and attributes.start_time < {int(end.timestamp() * 1000)}",
            "max_results": _PAGE,
        }
        runs = list(self._pages(body))
        told = {run["info"]["run_id"] for run in runs}
        for run in runs:
            if _tags(run).get(PARENT_TAG) not in told:
                yield _run_time(run, experiment, min(now, end))

    def _pages(self, body: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
        while True:
            page = self._post("runs/search", body)
            yield from page.get("runs", [])
            if not page.get("next_page_token"):
                return
            body = {**body, "page_token": page["next_page_token"]}


def _tags(run: Mapping[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run.get("data", {}).get("tags", [])}


def _run_time(run: Mapping[str, Any], experiment: str, now: datetime) -> RunTime:
    info = run["info"]
    start, end = (int(info.get(key) or 0) / 1000 for key in ("start_time", "end_time"))
    last = datetime.fromtimestamp(end, UTC) if end else now
    name = str(info.get("run_name", "")).removeprefix(experiment).split()
    return RunTime(
        step=name[0] if name else "other",
        hours=(last - datetime.fromtimestamp(start, UTC)).total_seconds() / 3600,
        gpus=int(_tags(run).get(GPUS_TAG, "0")),
    )
