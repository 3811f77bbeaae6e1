"""Reports of evaluations, as far as a document is forgotten in them.

They lie at ``reports/<model>/<version>/`` and among the artifacts of the evaluation's MLflow run.
What they quote bears the id of its document: in JSON the entry that holds it (``document``), in
Markdown and HTML two comments around it. So it is cut out without rendering anything anew, and the
figures, which are about all documents together, stay.
"""

import json
import re
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path
from typing import Any

from twin.domain.errors import BadDataError
from twin.stores.files import FileStore

REPORTS = "reports"
REPORT_FILE = "report.json"
SHEET_FILE = "answers.json"
"""What each model answered, question by question; older reports have none."""
RUN_FOLDER = "report"
"""Of the files among the artifacts of the MLflow run."""
JUDGE_REPLIES = "evaluation/judge"
"""Folder with one folder of kept replies for each model: what a judge has said of its answers."""

FORGOTTEN = "(of a document that is forgotten)"
_KEY = "document"
#: What `begin` and `end` enclose: no text can hold such a comment, since its ``<`` is escaped.
_QUOTED = re.compile(
    r"<!-- document (?P<id>[^<>]*) -->.*?<!-- end of document (?P=id) -->", re.DOTALL
)


def begin(document_id: str) -> str:
    """Comment before what quotes a document, in Markdown and HTML."""
    return f"<!-- document {escape(document_id)} -->"


def end(document_id: str) -> str:
    """Comment after it."""
    return f"<!-- end of document {escape(document_id)} -->"


def measured(files: FileStore, model: str, version: str, figure: str) -> float | None:
    """What an evaluation has measured of a version; None where there is no report, or not this.

    Args:
        files: of the reports.
        model: registered model.
        version: its number.
        figure: name of the figure, as in ``report.json``.
    """
    path = f"{REPORTS}/{model}/{version}/{REPORT_FILE}"
    if not files.exists(path):
        return None
    values = {each["name"]: each["values"] for each in files.read_json(path)["figures"]}
    found = values.get(figure, {}).get("candidate")
    return None if found is None else float(found["value"])


@dataclass(frozen=True)
class RedactedReport:
    """A report without what it quoted of forgotten documents; nothing of it is written yet.

    Attributes:
        folder: of the report in the file store.
        files: name to new text, of the files that change.
        run: address of the evaluation's MLflow run; "" if it had none.
        samples: ids of the test samples that were made from these documents.
    """

    folder: str
    files: dict[str, str]
    run: str
    samples: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """What reports ask for: it is wanted to compare a version once more, or to look into it.

    Attributes:
        samples: version of the test samples.
        versions: of the model, that the reported one was measured against.
        answers: keys of the answers that models gave.
    """

    samples: frozenset[str] = frozenset()
    versions: frozenset[str] = frozenset()
    answers: frozenset[str] = frozenset()

    def __or__(self, other: "Asked") -> "Asked":
        """What either asks for."""
        return Asked(
            self.samples | other.samples,
            self.versions | other.versions,
            self.answers | other.answers,
        )


class KeptReports:
    """The reports of all models in a file store."""

    def __init__(self, files: FileStore) -> None:
        self._files = files

    def quoting(self, document_ids: Collection[str]) -> Iterator[RedactedReport]:
        """The reports that quote one of these documents, as they are without it."""
        for model, version in self.of():
            redacted = self._redacted(f"{REPORTS}/{model}/{version}", document_ids)
            if redacted.files:
                yield redacted

    def replace(self, redacted: RedactedReport) -> None:
        """Write a report without what it quoted."""
        with tempfile.TemporaryDirectory(prefix="report-") as scratch:
            folder = Path(scratch)
            for name in self._files.names(redacted.folder):
                if not name.startswith("."):
                    content = self._files.read_bytes(f"{redacted.folder}/{name}")
                    (folder / name).write_bytes(content)
            for name, text in redacted.files.items():
                (folder / name).write_text(text, encoding="utf-8")
            self._files.publish_folder(folder, redacted.folder, replace=True)

    def of(self) -> Iterator[tuple[str, str]]:
        """Model and version of every report, whole or not."""
        for model in self._files.names(REPORTS):
            yield from ((model, version) for version in self._files.names(f"{REPORTS}/{model}"))

    def asked_by(self, model: str, version: str) -> Asked:
        """What a version's report asks for; nothing where it has none.

        Raises:
            BadDataError: it is damaged.
        """
        report = self._value(f"{REPORTS}/{model}/{version}/{REPORT_FILE}")
        sheet = self._value(f"{REPORTS}/{model}/{version}/{SHEET_FILE}")
        lineage = report.get("lineage", {})
        against = {lineage.get(role, "none") for role in ("champion", "reference")} - {"none"}
        samples = {lineage.get("dataset_version"), sheet.get("dataset_version")} - {None}
        answers = (key for row in sheet.get("rows", ()) for key in row.get("kept", {}).values())
        return Asked(frozenset(samples), frozenset(against), frozenset(answers))

    def _value(self, name: str) -> dict[str, Any]:
        if not self._files.exists(name):
            return {}
        where = self._files.uri(name)
        value = _parsed(self._files.read_text(name), where)
        return value if isinstance(value, dict) else {}

    def remove(self, model: str) -> None:
        """Erase all reports of a model."""
        self._files.remove(f"{REPORTS}/{model}")

    def _redacted(self, folder: str, ids: Collection[str]) -> RedactedReport:
        changed: dict[str, str] = {}
        samples: set[str] = set()
        run = ""
        for name in self._files.names(folder):
            if not name.endswith((".json", ".md", ".html")):
                continue
            text = self._files.read_text(f"{folder}/{name}")
            if name.endswith(".json"):
                value = _parsed(text, self._files.uri(f"{folder}/{name}"))
                run = value.get("mlflow_run", run) if name == REPORT_FILE else run
                gone = list(_drop(value, ids))
                samples |= {each["sample"] for each in gone if "sample" in each}
                if gone:
                    changed[name] = json.dumps(value, ensure_ascii=False, indent=2) + "\n"
            elif (redacted := redact(text, ids)) != text:
                changed[name] = redacted
        return RedactedReport(folder, changed, run, tuple(sorted(samples)))


def redact(text: str, document_ids: Collection[str]) -> str:
    """A page or Markdown text without what it quotes of these documents."""

    def cut(quoted: re.Match[str]) -> str:
        return FORGOTTEN if unescape(quoted["id"]) in document_ids else quoted[0]

    return _QUOTED.sub(cut, text)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise BadDataError(
            f"{where} is damaged: remove its folder, then run twin evaluation run --again"
        ) from None


def _drop(value: Any, ids: Collection[str]) -> Iterator[dict[str, Any]]:
    """Take the entries of these documents out of every list; yields them."""
    if isinstance(value, dict):
        for held in value.values():
            yield from _drop(held, ids)
    elif isinstance(value, list):
        kept = []
        for each in value:
            if isinstance(each, dict) and each.get(_KEY) in ids:
                yield each
            else:
                kept.append(each)
                yield from _drop(each, ids)
        value[:] = kept
