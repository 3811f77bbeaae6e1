"""The report of an evaluation, as machines read it: ``report.json``.

It lies at ``<files>/reports/<model>/<version>/report.json`` beside its rendering for people
(``report.md``, by `report_markdown`) and the plots, and among the artifacts of the MLflow run.
"""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.errors import BadDataError
from twin.evaluation.gate import Check
from twin.evaluation.resampling import Estimate
from twin.stores.files import FileStore

SCHEMA_VERSION = 1
REPORT_FILE = "report.json"
MARKDOWN_FILE = "report.md"


class Decision(StrEnum):
    """What became of the candidate."""

    PROMOTED = "promoted"
    AWAITING_APPROVAL = "awaiting approval"
    TRIAL = "trial"
    REFUSED = "refused"


class Figure(BaseModel):
    """One measure: its value for each model, and the candidate's gain over the others.

    ``values`` is keyed by candidate, base, champion (if there is one) and, for style, author: the
    author's own held-out passages. ``gains`` is keyed by base and champion; positive is better,
    and for perplexity it is relative.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    label: str
    better: Literal["higher", "lower"]
    values: dict[str, Estimate]
    gains: dict[str, Estimate] = Field(default_factory=dict)


class Retrieval(BaseModel):
    """How well the index finds what the test instructions were made from."""

    model_config = ConfigDict(frozen=True)

    k: int
    questions: int
    recall: Estimate
    reciprocal_rank: Estimate


class SideBySide(BaseModel):
    """One test instruction with what everyone wrote; ``answers`` is keyed as `Figure.values`."""

    model_config = ConfigDict(frozen=True)

    instruction: str
    title: str
    url: str
    author: str
    answers: dict[str, str]


class EvaluationReport(BaseModel):
    """Everything that was found out about a candidate, and what was decided."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    created: datetime
    model: str
    version: str
    decision: Decision
    promoted: bool
    reasons: tuple[str, ...] = Field(description="what failed; if nothing did, why it passed")
    samples: int
    documents: int
    figures: tuple[Figure, ...]
    retrieval: Retrieval
    checks: tuple[Check, ...]
    side_by_side: tuple[SideBySide, ...]
    lineage: dict[str, str]
    plots: tuple[str, ...] = ()
    mlflow_run: str = ""

    def flat(self) -> dict[str, float]:
        """The figures by dotted name, as MLflow charts them: ``candidate.rouge_l`` and so on."""
        made = {
            f"{role}.{figure.name}": estimate.value
            for figure in self.figures
            for role, estimate in figure.values.items()
        }
        gains = {
            f"gain_over_{role}.{figure.name}": estimate.value
            for figure in self.figures
            for role, estimate in figure.gains.items()
        }
        return {
            **made,
            **gains,
            f"retrieval.recall_at_{self.retrieval.k}": self.retrieval.recall.value,
            "retrieval.mrr": self.retrieval.reciprocal_rank.value,
            "promoted": float(self.promoted),
        }


def report_folder(model: str, version: str) -> str:
    """Where a version's report lies in the file store."""
    return f"reports/{model}/{version}"


def has_report(files: FileStore, model: str, version: str) -> bool:
    """Whether a version's report is kept."""
    return files.exists(f"{report_folder(model, version)}/{REPORT_FILE}")


def read_report(files: FileStore, model: str, version: str) -> EvaluationReport:
    """The report of a version.

    Raises:
        BadDataError: it has not been evaluated.
    """
    if not has_report(files, model, version):
        raise BadDataError(
            f"{model} version {version} has no report: run twin evaluation run first"
        )
    return EvaluationReport.model_validate_json(
        files.read_text(f"{report_folder(model, version)}/{REPORT_FILE}")
    )
