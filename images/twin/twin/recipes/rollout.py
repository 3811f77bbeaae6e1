"""Part of a recipe's section `serving`: how a version is proven before it gets all the traffic."""

from typing import Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from twin.recipes.section import Section

Metric = Literal["errors", "first_token", "speed", "guardrails", "grounded", "refusals", "feedback"]

#: A test of a share answers for one metric of seven.
CONFIDENCE = 0.99


class SmokeQuestion(Section):
    """A question that the new version is asked before it gets traffic."""

    question: str = Field(min_length=1)
    expect: Literal["answer", "sources", "refusal"] = Field(
        default="answer",
        description="answer: any words; sources: an answer of which a source supports a sentence; "
        "refusal: that the author has not written about it",
    )


class AnalysisSection(Section):
    """A comparison of the new version with the running one, by a test that may be looked at at any
    time.

    Each metric is a share of answers that are worse in one way. What is compared is how much larger
    the new version's share is: `fails_above` and `passes_below` are limits of that difference, and
    a limit counts as crossed when the whole confidence interval is beyond it.
    """

    metric: Metric = Field(
        description="errors: no answer; first_token: the first word comes more than `factor` times "
        "later; speed: tokens come more than `factor` times slower (of these two the even share is "
        "a half of the pairs); guardrails: something was taken out of the answer; grounded: no "
        "source supports it; refusals: not written about; feedback: judged bad by its caller"
    )
    fails_above: float = Field(default=0.05, ge=-1, le=1, description="the rollout is backed out")
    passes_below: float = Field(default=0.2, ge=-1, le=1, description="the metric is done")
    factor: float = Field(default=2.0, ge=1, description="of first_token and speed")
    confidence: float = Field(default=CONFIDENCE, gt=0.5, lt=1, description="of the interval")
    count: PositiveInt = Field(
        default=200, description="pairs of conversations that are looked at, at most"
    )
    inconclusive: Literal["proceed", "pause", "abort"] = Field(
        default="proceed",
        description="what to do at the end of a step at which the metric is neither; pause waits "
        "for `twin rollout promote` or `abort`",
    )

    @model_validator(mode="after")
    def _limits_are_in_order(self) -> "AnalysisSection":
        if self.passes_below < self.fails_above:
            raise ValueError("passes_below must not be less than fails_above")
        return self


#: Junk that still is an answer shows in `grounded` and `refusals`; both vary by question more than
#: the others do, so their limits are wider.
DEFAULT_ANALYSIS = (
    AnalysisSection(metric="errors"),
    AnalysisSection(metric="first_token"),
    AnalysisSection(metric="speed"),
    AnalysisSection(metric="guardrails"),
    AnalysisSection(metric="grounded", fails_above=0.1, passes_below=0.3),
    AnalysisSection(metric="refusals", fails_above=0.1, passes_below=0.3),
    AnalysisSection(metric="feedback", fails_above=0.1, passes_below=0.3),
)


class RolloutSection(Section):
    """How a version is proven. `traffic_steps` and `step_seconds` stand beside it."""

    smoke: tuple[SmokeQuestion, ...] = Field(
        default=(), description="asked of the new version beside `probe_question`, before traffic"
    )
    shadow_percent: int = Field(
        default=0,
        ge=0,
        le=100,
        description="of the questions: asked of the new version too before it gets traffic; its "
        "answers are measured and thrown away. Costs a second answer each",
    )
    shadow_seconds: float = Field(default=30.0, ge=0, description="how long, at most")
    sticky: Literal["conversation", "caller"] = Field(
        default="conversation",
        description="what stays with one version while two share the traffic: a conversation, or "
        "all that one key asks; where few keys ask much, a share is not kept to by keys",
    )
    analysis: tuple[AnalysisSection, ...] = DEFAULT_ANALYSIS
    analysis_seconds: float = Field(
        default=60.0,
        ge=0,
        description="how long a step waits, at most, for metrics that are undecided; where nobody "
        "has asked the new version anything during step_seconds, it does not wait",
    )
    require_approval: bool = Field(
        default=False,
        description="a person is asked in Airflow before a version gets all the traffic; until "
        "then it keeps its last share. The first version of a twin is not asked about",
    )
    warm_seconds: int = Field(
        default=0,
        ge=0,
        description="how long the version before runs on, with its memory, so that a rollback is a "
        "change of weights",
    )
    failed_champion: Literal["restore", "keep"] = Field(
        default="restore",
        description="restore: after a rollout that failed, the alias champion goes back to what "
        "serves; keep: it stays, and `twin rollout reconcile` alerts",
    )

    @model_validator(mode="after")
    def _shadow_takes_time(self) -> "RolloutSection":
        if self.shadow_percent and not self.shadow_seconds:
            raise ValueError(
                f"shadow_percent: {self.shadow_percent}, for no time: give shadow_seconds, or set "
                "shadow_percent to 0"
            )
        return self

    @field_validator("analysis")
    @classmethod
    def _each_metric_once(
        cls, analysis: tuple[AnalysisSection, ...]
    ) -> tuple[AnalysisSection, ...]:
        metrics = [each.metric for each in analysis]
        twice = sorted({metric for metric in metrics if metrics.count(metric) > 1})
        if twice:
            raise ValueError(f"metrics given twice: {', '.join(twice)}")
        return analysis
