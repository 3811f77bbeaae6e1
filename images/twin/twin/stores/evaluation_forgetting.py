"""Erases documents from what evaluations have kept: reports, answers, judges' replies, MLflow.

MLflow's copy goes first and the file store's, which leads there, last: a run that was killed is
finished by the next one.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from twin.settings import Settings
from twin.stores.files import FileStore, open_files
from twin.stores.kept_answers import FOLDER, KeptAnswers
from twin.stores.kept_replies import KeptReplies
from twin.stores.kept_reports import (
    JUDGE_REPLIES,
    RUN_FOLDER,
    KeptReports,
    RedactedReport,
)
from twin.stores.mlflow_rest import MlflowRest
from twin.stores.question_ids import DOCUMENT_TAG, trace_id_of

_RUN = re.compile(r"/experiments/(?P<experiment>\w+)/runs/(?P<run>\w+)")
_PROXY = "mlflow-artifacts:/"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_DATASETS = "/api/3.0/mlflow/datasets"
_SOME = 100  # traces, or pages' entries, of one request


@dataclass
class Erased:
    """What was erased.

    Attributes:
        reports: from which something was taken out.
        replies: of judges, and answers of measured models.
        left: artifacts that only a person can erase, because MLflow does not keep them itself.
    """

    reports: int = 0
    replies: int = 0
    left: list[str] = field(default_factory=list)


def forget_in_evaluations(settings: Settings, document_ids: Collection[str]) -> Erased:
    """Erase these documents from every evaluation, of whatever model.

    Raises:
        BadDataError: a report is damaged.
        TryAgainError: a store is away; run again.
    """
    files, erased = open_files(settings), Erased()
    reports = KeptReports(files)
    with EvaluationRuns(settings) as runs:
        for redacted in reports.quoting(document_ids):
            erased.left += runs.forget(redacted, document_ids)
            reports.replace(redacted)
            erased.reports += 1
    erased.replies = KeptAnswers(files).forget(document_ids)
    erased.replies += sum(replies.forget(document_ids) for replies in _judges(files))
    return erased


def remove_evaluations(settings: Settings, model: str) -> None:
    """Erase all reports of a model and all replies about it; its MLflow runs stay."""
    files = open_files(settings)
    KeptReports(files).remove(model)
    files.remove(f"{JUDGE_REPLIES}/{model}")
    files.remove(FOLDER)  # of all models: they are written again where they are needed


def _judges(files: FileStore) -> Iterator[KeptReplies]:
    for model in files.names(JUDGE_REPLIES):
        yield KeptReplies(files, f"{JUDGE_REPLIES}/{model}")


class EvaluationRuns(MlflowRest):
    """Evaluations as MLflow keeps them: artifacts of runs, traces, datasets."""

    def forget(self, report: RedactedReport, document_ids: Collection[str]) -> list[str]:
        """Make a run show what the report shows now.

        Args:
            report: without what it quoted.
            document_ids: that are forgotten.

        Returns:
            Artifacts that hold it still, because MLflow's server does not keep them itself.
        """
        found = _RUN.search(report.run)
        run = self._get("runs/get", run_id=found["run"]) if found else None
        if found is None or run is None:
            return []
        experiment = found["experiment"]
        traces = [trace_id_of(found["run"], sample) for sample in report.samples]
        for start in range(0, len(traces), _SOME):
            some = {"experiment_id": experiment, "request_ids": traces[start : start + _SOME]}
            self._post("traces/delete-traces", some)
        for dataset in self._pages("POST", f"{_DATASETS}/search", "datasets", experiment):
            self._forget_records(f"{_DATASETS}/{dataset['dataset_id']}/records", document_ids)
        return self._replace(run["run"]["info"]["artifact_uri"], report.files)

    def _forget_records(self, path: str, document_ids: Collection[str]) -> None:
        records = [
            each["dataset_record_id"]
            for each in self._pages("GET", path, "records")
            if (each.get("tags") or {}).get(DOCUMENT_TAG) in document_ids
        ]
        if records:
            self._send("DELETE", path, {"dataset_record_ids": records})

    def _pages(
        self, method: str, path: str, name: str, experiment: str = ""
    ) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            asked: dict[str, Any] = {"max_results": _SOME} | (
                {"page_token": token} if token else {}
            )
            asked |= {"experiment_ids": [experiment]} if experiment else {}
            sent = {"params": asked} if method == "GET" else {"json": asked}
            answer = self._call(method, path, **sent)
            entries = answer.get(name) or []
            yield from json.loads(entries) if isinstance(entries, str) else entries
            token = answer.get("next_page_token", "")
            if not token:
                return

    def _replace(self, artifacts: str, files: dict[str, str]) -> list[str]:
        if not artifacts.startswith(_PROXY):
            return [f"{artifacts}/{RUN_FOLDER}/{name}" for name in files]
        place = f"{_ARTIFACTS}/{artifacts.removeprefix(_PROXY).lstrip('/')}/{RUN_FOLDER}"
        for name, text in files.items():
            self._request("PUT", f"{place}/{name}", content=text.encode())
        return []
