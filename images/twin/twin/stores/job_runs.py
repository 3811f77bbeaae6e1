"""What jobs have worked on, as MLflow's runs tell: the way from an adapter to its samples."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from twin.stores.mlflow_rest import MlflowRest, tags_of
from twin.stores.tracking import KEY_TAG

#: MLflow's word for a run that has not ended; one whose process was killed says so for ever.
_RUNNING = "RUNNING"


class JobRun(BaseModel):
    """One run of a job.

    Attributes:
        key: what it computes: of a training the folder that its adapter goes to.
        dataset_version: of the samples; "" where it has none.
        pairs_version: of the preference pairs that it was trained on; "" where it has none.
        version: of the model that it measures; "" where it measures none.
        began: when it began.
        is_running: whether it has not ended, as far as MLflow knows.
    """

    model_config = ConfigDict(frozen=True)

    key: str = ""
    dataset_version: str = ""
    pairs_version: str = ""
    version: str = ""
    began: datetime
    is_running: bool = False


class JobRuns(MlflowRest):
    """The runs of experiments; errors are those of `MlflowRest`."""

    def of(self, experiment: str) -> Iterator[JobRun]:
        """All runs of an experiment; one that is not there has none.

        Args:
            experiment: name, which is the recipe's.
        """
        return map(_job_run, self._search_runs(experiment))


def _job_run(run: Mapping[str, Any]) -> JobRun:
    tags = tags_of(run)
    params = {each["key"]: each["value"] for each in run.get("data", {}).get("params", [])}
    return JobRun(
        key=tags.get(KEY_TAG, ""),
        dataset_version=tags.get("dataset_version", ""),
        pairs_version=params.get("pairs_version", ""),
        version=tags.get("version", ""),
        began=datetime.fromtimestamp(int(run["info"]["start_time"]) / 1000, UTC),
        is_running=run["info"].get("status") == _RUNNING,
    )
