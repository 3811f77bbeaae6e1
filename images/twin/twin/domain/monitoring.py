"""What monitoring has measured of a twin, what it has told people, and what it has started."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Standing(StrEnum):
    """Whether a measure is as it should be."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"
    """It could not be measured: a store is away, or too few callers have asked. Never counted as
    good or bad."""


class Measure(BaseModel):
    """One figure of one look.

    Attributes:
        name: what it measures, such as ``drift.questions``; of a source ``fresh.<source>``.
        value: the figure; None where it could not be measured.
        low: lower end of its interval, where it has one.
        high: upper end.
        reference: what it is compared with: a limit, a baseline or an earlier window's figure.
        count: independent units (callers, documents, questions) that it comes from.
        says: the finding in one sentence, for people.
        cause: what a decision remembers so that it acts on it once; "" where nothing acts on it.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    standing: Standing
    value: float | None = None
    low: float | None = None
    high: float | None = None
    reference: float | None = None
    count: int = 0
    says: str
    cause: str = ""


class Record(BaseModel):
    """Where a measure stands after hysteresis.

    Attributes:
        standing: good or bad, as people were told.
        since: when it became that.
        streak: looks in a row that have said the opposite.
        last: what the last look has measured.
    """

    model_config = ConfigDict(frozen=True)

    standing: Standing = Standing.GOOD
    since: datetime
    streak: int = 0
    last: Measure


class Event(BaseModel):
    """That a measure became bad, or is good again: what people are told, once each."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["alert", "recovery"]
    measure: str
    since: datetime = Field(description="when the measure became bad")
    at: datetime
    says: str


class Baseline(BaseModel):
    """What a measure was when enough callers had asked for the first time."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float
    count: int
    at: datetime


class Held(BaseModel):
    """What a rule would have started, and why it did not."""

    model_config = ConfigDict(frozen=True)

    rule: str
    reason: str
    why_not: str


class Start(BaseModel):
    """A pipeline that monitoring has started.

    Attributes:
        rule: that has started it.
        pipeline: the DAG.
        at: when.
        reason: for people; it stands on the run.
        causes: of the measures; the same cause starts nothing twice.
        gpu_hours: that the run may take, which count against the month's budget.
    """

    model_config = ConfigDict(frozen=True)

    rule: str
    pipeline: str
    at: datetime
    reason: str
    causes: tuple[str, ...] = ()
    gpu_hours: float = 0.0

    @property
    def run_id(self) -> str:
        """Of the pipeline's run: the same start never makes two."""
        return f"monitoring__{self.rule}__{self.at:%Y-%m-%dT%H:%M:%S}"


class MonitoringState(BaseModel):
    """All that monitoring remembers of a twin from one look to the next."""

    model_config = ConfigDict(frozen=True)

    recipe: str
    checked: datetime | None = None
    records: dict[str, Record] = Field(default_factory=dict, description="by measure")
    baselines: dict[str, Baseline] = Field(default_factory=dict, description="by measure")
    canaries: dict[str, bool] = Field(
        default_factory=dict,
        description="digest of version and question to whether it was answered right at first",
    )
    reference_until: datetime | None = Field(
        default=None,
        description="end of the window that answers are compared with, held while they differ; "
        "None: it goes with the clock",
    )
    reference_since: datetime | None = Field(
        default=None, description="before it nothing is compared with: a model was trained then"
    )
    starts: tuple[Start, ...] = Field(default=(), description="of the last hundred days")
    run_id: str = Field(default="", description="of the last look")
    events: tuple[Event, ...] = Field(
        default=(), description="of the last look: told once more if it is run again"
    )
