"""A training in several processes, one a GPU, as `accelerate launch` or torchrun starts them.

All of them train. The first one speaks for the job: it writes to MLflow, the file store and the
result; of the others nobody hears.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twin.job import Job
from twin.models.gpus import is_first
from twin.stores.registry import TRIAL
from twin.stores.tracking import TrackingRun, tracking_run
from twin.training.plan import TrainingPlan


class SilentRun(TrackingRun):
    """A tracking run of which MLflow never hears."""

    def __init__(self) -> None:
        self.id = self.url = ""

    def log_params(self, params: Mapping[str, object]) -> None:
        """Nothing."""

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Nothing."""

    def log_text(self, text: str, path: str) -> None:
        """Nothing."""

    def log_table(self, table: str, path: str) -> None:
        """Nothing."""

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Nothing."""

    def log_dataset(self, name: str, digest: str, uri: str, context: str) -> None:
        """Nothing."""

    def flush(self) -> None:
        """Nothing."""


@contextmanager
def training_run(job: Job, plan: TrainingPlan, stage: str, key: str) -> Iterator[TrackingRun]:
    """The tracking run of a stage of training, noted in the job's result.

    Values of the run's own are its tag `TRIAL`.

    Raises:
        TryAgainError: as `tracking_run`.
    """
    if not is_first():
        yield SilentRun()
        return
    version = plan.manifest.version
    tags: dict[str, Any] = {
        "dataset_version": version,
        "stage": stage,
        "run_id": job.run_id,
        **({TRIAL: ", ".join(job.changes)} if job.changes else {}),
    }
    with tracking_run(
        job.settings,
        experiment=job.recipe.name,
        name=stage,
        version=version,
        tags=tags,
        key=key,
    ) as run:
        job.result.uris["mlflow_run"] = run.url
        job.result.ids["mlflow_run"] = run.id
        yield run
