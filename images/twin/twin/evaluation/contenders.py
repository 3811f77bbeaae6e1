"""Versions that are compared, by whatever name a person has for them."""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from twin.domain.errors import BadDataError
from twin.evaluation.answer_sheet import AnswerSheet
from twin.evaluation.report import (
    EvaluationReport,
    parse_report,
    report_folder,
)
from twin.settings import Settings
from twin.stores.files import open_files
from twin.stores.kept_reports import REPORT_FILE, RUN_FOLDER, SHEET_FILE
from twin.stores.mlflow_connection import mlflow_client, mlflow_errors
from twin.stores.registry import CANDIDATE, CHAMPION, PREVIOUS, REFERENCE, Registry

ALIASES = (CANDIDATE, CHAMPION, PREVIOUS, REFERENCE)
_RUN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Contender:
    """A version with its report and what it answered."""

    report: EvaluationReport
    sheet: AnswerSheet


def find_contender(word: str, model: str, settings: Settings) -> Contender:
    """The version that a word names, with its report.

    Args:
        word: a version's number, an alias, the id of the MLflow run of an evaluation, or the path
            of a report (``report.json``, or the folder it lies in).
        model: whose versions.
        settings: where the stores are.

    Raises:
        BadDataError: it names nothing, or that has no report to be compared.
        TryAgainError: a store does not answer.
    """
    path = Path(word)
    if "/" in word or path.suffix == ".json":
        return _read(_reader_of(path if path.is_dir() else path.parent), word)
    if _RUN.fullmatch(word):
        return _of_run(word, settings)
    version = word if word.isdigit() else _version(word, model, settings)
    files, folder = open_files(settings), report_folder(model, version)

    def read(name: str) -> str | None:
        path = f"{folder}/{name}"
        return files.read_text(path) if files.exists(path) else None

    return _read(read, f"{model} version {version}")


def _version(alias: str, model: str, settings: Settings) -> str:
    if alias not in ALIASES:
        raise BadDataError(
            f"{alias!r} names no version: give a number, {', '.join(ALIASES)}, the id of an "
            "evaluation's MLflow run, or the path of its report.json"
        )
    with Registry(settings) as registry:
        found = registry.by_alias(model, alias)
    if found is None:
        raise BadDataError(f"{model} has no {alias}")
    return found.version


def _of_run(run_id: str, settings: Settings) -> Contender:
    texts: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch, mlflow_errors(settings):
        client = mlflow_client(settings)
        there = {item.path for item in client.list_artifacts(run_id, RUN_FOLDER)}
        for name in (REPORT_FILE, SHEET_FILE):
            if (path := f"{RUN_FOLDER}/{name}") in there:
                local = client.download_artifacts(run_id, path, scratch)
                texts[name] = Path(local).read_text("utf-8")
    return _read(texts.get, f"run {run_id}")


def _reader_of(folder: Path) -> Callable[[str], str | None]:
    def read(name: str) -> str | None:
        path = folder / name
        return path.read_text("utf-8") if path.is_file() else None

    return read


def _read(read: Callable[[str], str | None], where: str) -> Contender:
    report, sheet = read(REPORT_FILE), read(SHEET_FILE)
    if report is None:
        raise BadDataError(f"{where} has no report: run twin evaluation run first")
    parsed = parse_report(report, where)
    if sheet is None:
        raise BadDataError(
            f"{where} has a report of a time when its answers were not kept: make it the candidate "
            "again and run twin evaluation run --again"
        )
    try:
        return Contender(parsed, AnswerSheet.model_validate_json(sheet))
    except ValidationError as error:
        raise BadDataError(
            f"{where}: {SHEET_FILE} is damaged ({error.error_count()} faults): "
            "run twin evaluation run --again"
        ) from None
