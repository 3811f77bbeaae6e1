"""The report of an evaluation, as machines read it: ``report.json``.

It lies at ``<files>/reports/<model>/<version>/report.json``, beside its renderings for people
(``report.html`` by `report_page`, ``report.md`` by `report_markdown`) and the plots, and among the
artifacts of the MLflow run.
"""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twin.domain.errors import BadDataError
from twin.evaluation.abilities import AbilitiesReport
from twin.evaluation.apart import Apart
from twin.evaluation.checks import Check, Verdict
from twin.evaluation.contamination import Proof
from twin.evaluation.judged_grounding import JudgedGrounding
from twin.evaluation.judging import JudgeReport
from twin.evaluation.memorised import Memorised
from twin.evaluation.power import Power
from twin.evaluation.resampling import Estimate
from twin.evaluation.speed import Speed
from twin.evaluation.style_report import StyleReport
from twin.stores.files import FileStore
from twin.stores.kept_reports import REPORT_FILE, REPORTS, RUN_FOLDER

SCHEMA_VERSION = 3
MARKDOWN_FILE = "report.md"
PAGE_FILE = "report.html"


class Decision(StrEnum):
    """What became of the candidate."""

    PROMOTED = "promoted"
    AWAITING_APPROVAL = "awaiting approval"
    TRIAL = "trial"
    HELD = "held"
    REJECTED = "rejected"


class Figure(BaseModel):
    """One measure: its value for each model, and the candidate's gain over the others.

    ``values`` is keyed by candidate, base, champion and reference (if there are) and, for what can
    be measured of them, author: the author's own held-out passages. ``gains`` is keyed by base,
    champion and reference; positive is better, and for perplexity it is relative. A measure of
    which neither end is better has none.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    label: str
    better: Literal["higher", "lower", "neither"]
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
    """One test instruction with what everyone wrote; ``answers`` is keyed as `Figure.values`.

    ``document`` is the id of the one that it was made from, and is forgotten with.
    """

    model_config = ConfigDict(frozen=True)

    document: str
    instruction: str
    title: str
    url: str
    author: str
    answers: dict[str, str]


class TitledDocument(BaseModel):
    """A document by its id, and what it is called."""

    model_config = ConfigDict(frozen=True)

    document: str
    title: str


class DocumentGroup(BaseModel):
    """Documents that hang together, and how many test samples come from them."""

    model_config = ConfigDict(frozen=True)

    documents: tuple[TitledDocument, ...]
    samples: int


class EvaluationReport(BaseModel):
    """Everything that was found out about a candidate, and what was decided."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    schema_version: int = SCHEMA_VERSION
    created: datetime
    model: str
    version: str
    verdict: Verdict
    decision: Decision
    promoted: bool
    reasons: tuple[str, ...] = Field(description="of the verdict, in plain words")
    samples: int
    documents: int
    groups: tuple[DocumentGroup, ...] = Field(description="what the intervals are over")
    power: Power = Field(description="what the set can show")
    proof: Proof = Field(description="that no model was trained on the test samples")
    new_documents: int = Field(description="that the candidate learned from, the champion not")
    figures: tuple[Figure, ...]
    retrieval: Retrieval
    judge: JudgeReport | None = Field(default=None, description="of a recipe that names one")
    judged_grounding: JudgedGrounding | None = Field(
        default=None, description="Ragas' measures by the judge of a recipe that names one"
    )
    abilities: AbilitiesReport | None = Field(default=None, description="of a recipe with tasks")
    style: StyleReport = StyleReport(absent="not measured")
    answered_by: str = Field(
        default="", description="the engine, and why it is another than serving's if it is"
    )
    apart: Apart = Field(default_factory=dict, description="from memory and from passages")
    speed: dict[str, Speed] = Field(default_factory=dict, description="by model")
    memorised: Memorised = Memorised()
    checks: tuple[Check, ...]
    side_by_side: tuple[SideBySide, ...]
    lineage: dict[str, str]
    plots: tuple[str, ...] = ()
    mlflow_run: str = ""

    @property
    def page_url(self) -> str:
        """The page in MLflow's web UI; empty where the report is of no run."""
        return f"{self.mlflow_run}/artifacts/{RUN_FOLDER}/{PAGE_FILE}" if self.mlflow_run else ""

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
        style = {
            f"{who}.style_{measure.name}": score.value
            for measure in self.style.measures
            for who, score in measure.scores.items()
        }
        speed = {
            f"{role}.{name}": value.value
            for role, each in self.speed.items()
            for name in Speed.model_fields
            if isinstance(value := getattr(each, name), Estimate)
        }
        return {
            **made,
            **gains,
            **style,
            **speed,
            **self.memorised.flat(),
            **(self.abilities.flat() if self.abilities else {}),
            **(self.judged_grounding.flat() if self.judged_grounding else {}),
            f"retrieval.recall_at_{self.retrieval.k}": self.retrieval.recall.value,
            "retrieval.mrr": self.retrieval.reciprocal_rank.value,
            **{
                f"judge.win_rate_over_{each.opponent}": (each.corrected or each.rate).value
                for each in (self.judge.preferences if self.judge else ())
            },
            "document_groups": float(len(self.groups)),
            "promoted": float(self.promoted),
        }


def report_folder(model: str, version: str) -> str:
    """Where a version's report lies in the file store."""
    return f"{REPORTS}/{model}/{version}"


def has_report(files: FileStore, model: str, version: str) -> bool:
    """Whether a version's report is kept."""
    return files.exists(f"{report_folder(model, version)}/{REPORT_FILE}")


def read_report(files: FileStore, model: str, version: str) -> EvaluationReport:
    """The report of a version.

    Raises:
        BadDataError: it has not been evaluated, or by code of another time.
    """
    if not has_report(files, model, version):
        raise BadDataError(
            f"{model} version {version} has no report: run twin evaluation run first"
        )
    name = f"{report_folder(model, version)}/{REPORT_FILE}"
    return parse_report(files.read_text(name), files.uri(name))


def parse_report(text: str, where: str) -> EvaluationReport:
    """The report in a text that lies somewhere.

    Raises:
        BadDataError: it is none, or by code of another time.
    """
    try:
        return EvaluationReport.model_validate_json(text)
    except ValidationError as error:
        raise BadDataError(
            f"{where} is no report of this version of the system "
            f"({error.error_count()} faults): run twin evaluation run --again"
        ) from None
