"""How long the runs of an experiment took, and on how many GPUs, as MLflow has them."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from twin.stores.mlflow_rest import MlflowRest, tags_of
from twin.stores.tracking import GPUS_TAG

#: MLflow's own tag: a trial of a sweep has it, and runs while its parent does.
PARENT_TAG = "mlflow.parentRunId"


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
        span = (
            f"attributes.start_time >= {int(begin.timestamp() * 1000)} "
            f"and attributes.start_time < {int(end.timestamp() * 1000)}"
        )
        runs = list(self._search_runs(experiment, filter=span))
        told = {run["info"]["run_id"] for run in runs}
        for run in runs:
            if tags_of(run).get(PARENT_TAG) not in told:
                yield _run_time(run, experiment, min(now, end))


def _run_time(run: Mapping[str, Any], experiment: str, now: datetime) -> RunTime:
    info = run["info"]
    start, end = (int(info.get(key) or 0) / 1000 for key in ("start_time", "end_time"))
    last = datetime.fromtimestamp(end, UTC) if end else now
    name = str(info.get("run_name", "")).removeprefix(experiment).split()
    return RunTime(
        step=name[0] if name else "other",
        hours=(last - datetime.fromtimestamp(start, UTC)).total_seconds() / 3600,
        gpus=int(tags_of(run).get(GPUS_TAG, "0")),
    )
