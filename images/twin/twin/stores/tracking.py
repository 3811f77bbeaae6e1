"""Experiment tracking: one MLflow run per training or evaluation job.

A run outlives trouble at the other end. While MLflow is away, metrics wait in memory (training
goes on) and are sent when it is back; what cannot be sent by the end of the job is a
`TryAgainError`, and the next attempt goes on with the same run.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from twin.domain.errors import BadConfigurationError, NothingToDo, TryAgainError, TwinError
from twin.settings import Settings
from twin.stores.mlflow_connection import mlflow_client, mlflow_errors, ui_url

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    from twin.stores.question_traces import AnsweredQuestion

#: Tag that says what a run computes: an unfinished run with the same key is gone on with.
KEY_TAG = "twin.key"
#: Tag that says how many GPUs the job was given, where the platform says so (`Settings.gpus`).
GPUS_TAG = "twin.gpus"
#: MLflow's own tag: its UI shows it as the run's commit.
COMMIT_TAG = "mlflow.source.git.commit"
#: MLflow's own tag: artifacts that its UI shows as tables.
TABLES_TAG = "mlflow.loggedArtifacts"

#: Points sent in one request; the server takes 1,000 at most.
BATCH = 1_000
#: Sending takes tens of milliseconds, so points wait this long for company.
SECONDS_BETWEEN_SENDS = 2.0
#: While MLflow is away, an attempt this often: each may cost a step of training its timeout.
SECONDS_BETWEEN_ATTEMPTS = 30.0
#: Points kept while MLflow is away (days of training); the oldest are dropped beyond it.
MAX_WAITING = 200_000
MAX_PARAM_CHARACTERS = 6_000

log = structlog.get_logger("twin")


class TrackingRun:
    """One run that is being written. Made by `tracking_run`; closes with it."""

    def __init__(
        self, client: "MlflowClient", settings: Settings, experiment_id: str, run_id: str
    ) -> None:
        self.id = run_id
        self.url = f"{ui_url(settings)}/#/experiments/{experiment_id}/runs/{run_id}"
        self._client = client
        self._settings = settings
        self._experiment_id = experiment_id
        self._waiting: list[Metric] = []
        self._send_after = 0.0
        self._away = False

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record parameters. What the run has already stays: MLflow's parameters are final.

        Raises:
            TryAgainError: MLflow does not answer.
        """
        from mlflow.entities import Param

        with mlflow_errors(self._settings):
            known = self._client.get_run(self.id).data.params
            new = [
                Param(key, str(value)[:MAX_PARAM_CHARACTERS])
                for key, value in params.items()
                if key not in known
            ]
            for start in range(0, len(new), 100):
                self._client.log_batch(self.id, params=new[start : start + 100])

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record metrics at a step. While MLflow is away or refuses access, they wait.

        Raises:
            BadDataError: MLflow does not take a name.
        """
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [Metric(key, float(value), now, step) for key, value in metrics.items()]
        self._waiting += [point for point in points if not math.isinf(point.value)]
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[: len(self._waiting) - MAX_WAITING]
        if time.monotonic() >= self._send_after:
            self._try_to_send()

    def flush(self) -> None:
        """Send the metrics that wait.

        Raises:
            TryAgainError: MLflow does not answer; they still wait.
        """
        with mlflow_errors(self._settings):
            while self._waiting:
                batch = self._waiting[:BATCH]
                self._client.log_batch(self.id, metrics=batch)
                del self._waiting[: len(batch)]

    def log_text(self, text: str, path: str) -> None:
        """Store a text as the run's artifact ``path``.

        Raises:
            TryAgainError: MLflow does not answer.
        """
        with mlflow_errors(self._settings):
            self._client.log_text(self.id, text, path)

    def log_table(self, table: str, path: str) -> None:
        """Store a table as the run's artifact ``path``, which MLflow's UI shows as one.

        Args:
            table: JSON with ``columns`` and ``data``, a list of rows (pandas' ``split``).
            path: ends in ``.json``.

        Raises:
            TryAgainError: MLflow does not answer.
        """
        self.log_text(table, path)
        self.set_tags({TABLES_TAG: json.dumps([{"path": path, "type": "table"}])})

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Store a file as an artifact, in ``folder`` if one is given. Not for weights.

        Raises:
            TryAgainError: MLflow does not answer.
        """
        with mlflow_errors(self._settings):
            self._client.log_artifact(self.id, str(path), folder)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags; the same key again overwrites.

        Raises:
            TryAgainError: MLflow does not answer.
        """
        from mlflow.entities import RunTag

        with mlflow_errors(self._settings):
            self._client.log_batch(self.id, tags=[RunTag(*pair) for pair in tags.items()])

    def log_dataset(self, name: str, digest: str, uri: str, context: str) -> None:
        """Record a data set as an input of the run; ``context`` says what for (``training``).

        Raises:
            TryAgainError: MLflow does not answer.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = json.dumps({"uri": uri})
        dataset = Dataset(name, digest, source_type="twin", source=source)
        tags = [InputTag("mlflow.data.context", context)]
        with mlflow_errors(self._settings):
            self._client.log_inputs(self.id, [DatasetInput(dataset, tags)])

    def log_questions(self, dataset: str, questions: "Sequence[AnsweredQuestion]") -> None:
        """Write the questions of an evaluation, as `log_questions` does.

        Raises:
            TryAgainError: MLflow does not answer.
        """
        from twin.stores.question_traces import log_questions

        log_questions(self._settings, self._experiment_id, self.id, dataset, questions)

    def _try_to_send(self) -> None:
        try:
            self.flush()
        except (TryAgainError, BadConfigurationError) as error:
            self._send_after = time.monotonic() + SECONDS_BETWEEN_ATTEMPTS
            if not self._away:
                log.warning("metrics wait for MLflow", reason=str(error), points=len(self._waiting))
            self._away = True
            return
        self._send_after = time.monotonic() + SECONDS_BETWEEN_SENDS
        if self._away:
            log.info("MLflow is back, metrics sent")
        self._away = False

    def _finish(self) -> None:
        self.flush()
        with mlflow_errors(self._settings):
            self._client.set_terminated(self.id, "FINISHED")

    def _give_up(self, status: str) -> None:
        """Mark the run, if MLflow answers: what went wrong with the job matters more."""
        try:
            self.flush()
            with mlflow_errors(self._settings):
                self._client.set_terminated(self.id, status)
        except TwinError as error:
            log.warning("run not marked", run=self.id, status=status, reason=str(error))


@contextmanager
def tracking_run(
    settings: Settings,
    *,
    experiment: str,
    name: str,
    version: str | None = None,
    tags: Mapping[str, str] | None = None,
    run_id: str | None = None,
    key: str | None = None,
) -> Iterator[TrackingRun]:
    """A run of ``experiment`` (created if missing), finished or marked when the block ends.

    An exception marks it FAILED, an interruption KILLED; both go on to the caller.

    Args:
        settings: where MLflow is.
        experiment: the recipe's name, by the house's custom.
        name: what is done, such as ``sft``.
        version: what it is done with or to; the run is called ``experiment name version``.
        tags: lineage and whatever the UI should filter by.
        run_id: go on with this run; a new one is made if the server does not know it.
        key: hash of what the job computes: an unfinished run with this key and name is gone on
            with, so that a killed job leaves one run and not many.

    Raises:
        TryAgainError: MLflow does not answer when the run starts, or still has not taken
            everything when it ends.
    """
    title = " ".join(filter(None, (experiment, name, version)))
    known = {COMMIT_TAG: settings.code_version, **_key_tag(key)}
    if settings.gpus:
        known[GPUS_TAG] = str(settings.gpus)
    run = _open_run(settings, experiment, title, {**(tags or {}), **known}, run_id)
    try:
        yield run
    except NothingToDo:
        run._finish()
        raise
    except Exception:
        run._give_up("FAILED")
        raise
    except BaseException:
        run._give_up("KILLED")
        raise
    run._finish()


def _key_tag(key: str | None) -> dict[str, str]:
    return {} if key is None else {KEY_TAG: key}


def _open_run(
    settings: Settings, experiment: str, name: str, tags: Mapping[str, str], run_id: str | None
) -> TrackingRun:
    with mlflow_errors(settings):
        client = mlflow_client(settings)
        experiment_id = _experiment(client, experiment)
        found = _known_run(client, run_id) or _unfinished_run(client, experiment_id, name, tags)
        if found is None:
            found = client.create_run(experiment_id, tags=dict(tags), run_name=name)
        else:
            log.info("going on with run", run=found.info.run_id)
            client.update_run(found.info.run_id, status="RUNNING")
            experiment_id = found.info.experiment_id
    return TrackingRun(client, settings, experiment_id, found.info.run_id)


def _known_run(client: "MlflowClient", run_id: str | None) -> Any:
    """The run, or None if the server does not know it or somebody deleted it."""
    if run_id is None:
        return None
    found = _unless_missing(lambda: client.get_run(run_id))
    return found if found is not None and found.info.lifecycle_stage == "active" else None


def _unfinished_run(
    client: "MlflowClient", experiment_id: str, name: str, tags: Mapping[str, str]
) -> Any:
    if KEY_TAG not in tags:
        return None
    query = (
        f"tags.`{KEY_TAG}` = '{tags[KEY_TAG]}' and attributes.run_name = '{name}' "
        "and attributes.status != 'FINISHED'"
    )
    runs = client.search_runs([experiment_id], query, order_by=["start_time DESC"], max_results=1)
    return runs[0] if runs else None


def _experiment(client: "MlflowClient", name: str) -> str:
    """Id of the experiment; made if it is missing, brought back if somebody deleted it."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException as error:
            # Two jobs of one recipe may start at once.
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
    if found.lifecycle_stage != "active":
        log.warning("experiment was deleted in MLflow: brought back", experiment=name)
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _unless_missing(get: Callable[[], Any]) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return get()
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
