"""The section `monitoring:` of a recipe: what is looked at, and what follows from it."""

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from twin.recipes.section import Fraction, Section


class CanaryQuestion(Section):
    """A question whose answer is known."""

    question: str = Field(min_length=1)
    facts: tuple[str, ...] = Field(
        default=(),
        description="each must be in the answer; re: begins a regular expression. None: the right "
        "answer is that the author has not written about it",
    )


class CanariesSection(Section):
    """Questions with known answers, asked of the endpoint at each look."""

    questions: tuple[CanaryQuestion, ...] = Field(
        default=(),
        description="unset: `drawn` of the newest samples' test questions that a person wrote",
    )
    drawn: int = Field(default=5, ge=0, le=100, description="asked at each look; 0: none are drawn")
    seconds: PositiveInt = Field(default=60, description="that an answer may take")


class DriftSection(Section):
    """What callers ask and are told, against an earlier window.

    Both windows are sampled evenly over their time, and of each unit one answer counts in either,
    drawn by lot, so one caller moves nothing. A difference counts if chance explains it in fewer
    than `alpha` of cases (permutation of units) and it is large enough (`least`).
    """

    window_hours: PositiveInt = Field(default=24, description="the newest answers")
    reference_days: PositiveInt = Field(default=14, description="what they are compared with")
    unit: Literal["caller", "conversation"] = Field(
        default="caller",
        description="what counts once; conversation where one key stands for many people, as a "
        "website's does",
    )
    least_units: int = Field(
        default=8, ge=7, description="in either window, below which nothing is said"
    )
    sampled: PositiveInt = Field(default=600, description="answers of a window that are read")
    alpha: float = Field(
        default=0.001,
        gt=0,
        lt=0.5,
        description="small, since it is looked at every hour, and since several measures are",
    )
    least: Fraction = Field(
        default=0.05,
        description="share of all differences among units that lies between the windows, from "
        "which it counts; 0.06 is half a standard deviation (Cohen's medium effect)",
    )


class LiveSection(Section):
    """Limits of what the routers have seen of answers in the last hour."""

    errors: Fraction = Field(default=0.02, description="share without an answer")
    slow_seconds: PositiveFloat = Field(
        default=15.0, description="to the first word, from which an answer is slow"
    )
    slow: Fraction = Field(default=0.2, description="share of slow answers")
    margin: Fraction = Field(
        default=0.1,
        description="by which refusals, answers without a source and guardrail hits may exceed "
        "their baseline",
    )
    baseline_units: PositiveInt = Field(
        default=30, description="conversations from which a first figure becomes the baseline"
    )


class FreshnessSection(Section):
    """What counts as late, source by source."""

    crawl_hours: PositiveInt = Field(
        default=50, description="since a crawl has ended well; the default misses two nights"
    )
    alpha: Fraction = Field(
        default=0.05,
        description="share of the author's earlier silences that may be longer than what is usual",
    )
    patience: PositiveFloat = Field(
        default=2.0,
        description="times the usual silence: each silence is looked at for as long as it lasts",
    )
    least_gaps: int = Field(
        default=10, ge=3, description="between days of publication, below which there is no rhythm"
    )


class QuestionsSection(Section):
    """Questions that were not answered well, for the author to read."""

    days: PositiveInt = Field(default=30, description="whose answers are looked at")
    least_callers: PositiveInt = Field(
        default=2, description="who must ask alike before anybody is shown it"
    )
    least_questions: int = Field(default=3, ge=2, description="that make a group")
    examples: PositiveInt = Field(default=5, description="shown of each group")
    most: PositiveInt = Field(default=5_000, description="answers that are looked at")


class TopicsSection(Section):
    """What the author writes about, beside what readers ask."""

    count: int | None = Field(
        default=None,
        ge=2,
        le=100,
        description="topics; none: as many as tell passages apart best, 25 at most",
    )
    words: int = Field(default=6, ge=1, le=20, description="that name a topic")
    days: PositiveInt = Field(default=30, description="whose questions are looked at")
    least_callers: PositiveInt = Field(
        default=2, description="who must ask about a topic before its figures are shown"
    )
    most: PositiveInt = Field(default=5_000, description="questions that are looked at")


class BudgetSection(Section):
    """What trainings that monitoring starts may take in a calendar month (UTC)."""

    gpu_hours: PositiveFloat = 50.0
    gpu_hours_a_run: PositiveFloat = Field(
        default=4.0, description="that a run counts for; each is counted when it is started"
    )
    price: float = Field(default=0.0, ge=0, description="of a GPU hour, in your currency")
    money: float | None = Field(default=None, gt=0, description="a month; None: hours alone count")


class TrainingRule(Section):
    """When a model is trained anew. With this rule, new samples alone no longer start a training.

    Any of the three is enough.
    """

    changed: Fraction | None = Field(
        default=0.1,
        description="share of documents that are new, changed or gone since the newest model was "
        "registered; null: never for that",
    )
    drift: bool = Field(default=True, description="whether what callers ask has changed")
    feedback_below: Fraction | None = Field(
        default=0.5,
        description="share of callers' approval below which the whole interval lies; null: never "
        "for that",
    )
    cool_down_days: float = Field(
        default=7.0,
        ge=0,
        le=90,
        description="between two starts; at most 90, since starts are forgotten after a hundred",
    )
    budget: BudgetSection = BudgetSection()


class OnlineRule(Section):
    """When a round of preference training takes in accepted feedback (online learning).

    Nothing is learnt that a person has not accepted, and what comes of it is a candidate like any
    other: evaluation's gate, people's approval and the rollout stand before it.
    """

    least_pairs: PositiveInt = Field(
        default=20, description="accepted pairs that no model has learnt from"
    )
    hour: int = Field(default=1, ge=0, le=23, description="of the day (UTC) in which it may begin")
    cool_down_days: float = Field(
        default=1.0,
        ge=0,
        le=90,
        description="since the last training that monitoring has started, whatever for",
    )
    budget: BudgetSection = Field(
        default=BudgetSection(gpu_hours=10.0, gpu_hours_a_run=1.0),
        description="of its own, beside that of `training`",
    )


class RulesSection(Section):
    """What is started of itself."""

    features: bool = Field(
        default=True,
        description="bring the index up to date where it stays behind the warehouse; samples follow"
        " of themselves",
    )
    features_hours: float = Field(default=6.0, ge=0, description="between two starts of it")
    training: TrainingRule | None = Field(
        default=None, description="unset: each new version of the samples is trained on at once"
    )
    online: OnlineRule | None = Field(
        default=None,
        description="a nightly round of preference training on accepted feedback; unset: feedback "
        "waits for the next training",
    )


class GarbageSection(Section):
    """What is deleted once nothing needs it (`twin monitoring gc`)."""

    delete: bool = Field(
        default=False, description="delete what is found; otherwise it is only named"
    )
    newest: PositiveInt = Field(
        default=3, description="versions of the model, and copies of the index, that stay anyway"
    )
    least_days: PositiveInt = Field(
        default=30,
        description="since a thing was written or registered, before which it stays; the default "
        "outlasts an evaluation that waits for a person",
    )


class MonitoringSection(Section):
    """The look at a twin in service, hour by hour (`twin monitoring run`)."""

    paused: bool = Field(
        default=False, description="start nothing; looks and alerts go on. The one switch"
    )
    alert_after: PositiveInt = Field(
        default=2,
        description="looks in a row that must find a measure bad; a store that is away is told at "
        "once",
    )
    recover_after: PositiveInt = Field(default=2, description="looks in a row that find it good")
    owner: str = Field(default="", description="who is named in alerts")
    canaries: CanariesSection = CanariesSection()
    drift: DriftSection = DriftSection()
    live: LiveSection = LiveSection()
    freshness: FreshnessSection = FreshnessSection()
    questions: QuestionsSection = QuestionsSection()
    topics: TopicsSection = TopicsSection()
    feedback_days: PositiveInt = Field(default=14, description="whose feedback counts")
    feedback_callers: PositiveInt = Field(
        default=5, description="callers below which feedback says nothing"
    )
    rules: RulesSection = RulesSection()
    garbage: GarbageSection = GarbageSection()

    @model_validator(mode="after")
    def _one_run_fits_the_budget(self) -> "MonitoringSection":
        for name, rule in (("training", self.rules.training), ("online", self.rules.online)):
            if rule and rule.budget.gpu_hours_a_run > rule.budget.gpu_hours:
                raise ValueError(
                    f"rules.{name}.budget: gpu_hours_a_run exceeds gpu_hours, so nothing would "
                    "ever be trained"
                )
        return self
