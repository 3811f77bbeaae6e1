"""How long answers take, how many tokens, and what they cost: of the answers that are measured.

They are written as many at once as the engine has slots for, so the seconds are those of an engine
at full load on the machine that evaluates, not of a single caller. An answer that was kept from an
earlier evaluation keeps the seconds that it took then.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from twin.evaluation.checks import Check, Verdict
from twin.evaluation.power import MIN_GROUPS
from twin.evaluation.resampling import CONFIDENCE, Estimate
from twin.models.spending import Prices
from twin.recipes import GateSection
from twin.recipes.evaluation import CostSection
from twin.stores.kept_answers import KeptAnswer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWS = 2_000
SECONDS_AN_HOUR = 3_600
PRICED_ANSWERS = 1_000
"""Answers that a cost is for: that of one is too small a number to read."""


class Speed(BaseModel):
    """Medians of one model's answers, with intervals over groups of documents from eight groups on.

    ``cost`` is that of a thousand answers, the mean.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    engine: str
    answers: int
    together: int = Field(description="answers written at once")
    first_word_seconds: Estimate
    seconds: Estimate
    prompt_tokens: Estimate
    answer_tokens: Estimate
    cost: Estimate | None = Field(default=None, description="by the recipe's prices")


def speed_of(
    answers: Sequence[KeptAnswer], groups: Sequence[str], engine: str, prices: CostSection
) -> Speed | None:
    """The speed of answers; None without any that a model has written.

    Refusals before the model is asked take no time worth telling, and are left out.

    Args:
        answers: of one model.
        groups: each answer's group of documents.
        engine: that wrote them.
        prices: of the recipe.
    """
    written = [
        (answer, group)
        for answer, group in zip(answers, groups, strict=True)
        if answer.answer_tokens
    ]
    if not written:
        return None

    def median(value: Callable[[KeptAnswer], float]) -> Estimate:
        return median_of([value(answer) for answer, _ in written], [group for _, group in written])

    costs = None
    if prices.is_set:
        values = [cost_of(answer, prices) * PRICED_ANSWERS for answer, _ in written]
        costs = mean_over_groups(values, [group for _, group in written])
    return Speed(
        engine=engine,
        answers=len(written),
        together=max(answer.together for answer, _ in written),
        first_word_seconds=median(lambda answer: answer.first_word_seconds),
        seconds=median(lambda answer: answer.seconds),
        prompt_tokens=median(lambda answer: answer.prompt_tokens),
        answer_tokens=median(lambda answer: answer.answer_tokens),
        cost=costs,
    )


def cost_of(answer: KeptAnswer, prices: CostSection) -> float:
    """What one answer costs: its share of the machine's time, and its tokens."""
    hours = answer.seconds / answer.together / SECONDS_AN_HOUR
    tokens = Prices(prices.prompt_tokens, prices.answer_tokens)
    return hours * prices.machine_hour + tokens.of(answer.prompt_tokens, answer.answer_tokens)


def median_of(values: Sequence[float], groups: Sequence[str]) -> Estimate:
    """The median, with the interval of the percentile bootstrap over groups.

    Leaving out one group after another, as other figures do, is no way to the error of a median
    (B. Efron, "The Jackknife, the Bootstrap and Other Resampling Plans", 1982, section 3.4).
    """
    return _bootstrapped(values, groups, _medians)


def mean_over_groups(values: Sequence[float], groups: Sequence[str]) -> Estimate:
    """The mean, with an interval in the same way."""
    return _bootstrapped(values, groups, _means)


def speed_check(speed: Speed | None, gate: GateSection) -> tuple[Check, ...]:
    """The hard limit on how long an answer takes, where the recipe sets one."""
    limit = gate.max_answer_seconds
    if limit is None:
        return ()
    name = "answers in time"
    if speed is None:
        text = "no answer was written by the model, so that nobody can tell how long one takes"
        return (_check(name, text, Verdict.HOLD, 0.0, limit, passed=False),)
    found = speed.seconds
    text = (
        f"half of its answers take more than {found.value:.2f} s ({speed.together} at once, "
        f"{speed.engine}); it may be {limit:g} s"
    )
    return (_check(name, text, Verdict.REJECT, found.value, limit, passed=found.value <= limit),)


def _check(
    name: str, text: str, otherwise: Verdict, measured: float, limit: float, *, passed: bool
) -> Check:
    return Check(
        name=name,
        passed=passed,
        otherwise=otherwise,
        measured=measured,
        threshold=limit,
        text=f"{text}: {'passed' if passed else 'FAILED'}",
    )


def _medians(figures: "NDArray[np.float64]", times: "NDArray[np.int64]") -> "NDArray[np.float64]":
    """The median of figures that each count so many times, for each row of ``times``."""
    import numpy as np

    order = np.argsort(figures)
    ranks = np.cumsum(times[:, order], axis=1)
    middle = [(ranks[:, -1] - 1) // 2, ranks[:, -1] // 2]
    lower, upper = (figures[order][(ranks > each[:, None]).argmax(axis=1)] for each in middle)
    halves: NDArray[np.float64] = (lower + upper) / 2
    return halves


def _means(figures: "NDArray[np.float64]", times: "NDArray[np.int64]") -> "NDArray[np.float64]":
    means: NDArray[np.float64] = times @ figures / times.sum(axis=1)
    return means


def _bootstrapped(
    values: Sequence[float],
    groups: Sequence[str],
    of: "Callable[[NDArray[np.float64], NDArray[np.int64]], NDArray[np.float64]]",
) -> Estimate:
    import numpy as np

    figures = np.asarray(values, dtype=np.float64)
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    count = len(names)
    value = float(of(figures, np.ones((1, len(figures)), np.int64))[0])
    if count < MIN_GROUPS:  # too few to draw from: such an interval would be too narrow
        return Estimate(value=value, low=0.0, high=np.inf, error=np.inf, groups=count)
    drawing = np.random.default_rng(0)
    drawn_groups = drawing.integers(0, count, (DRAWS, count))
    times = (drawn_groups[:, :, None] == np.arange(count)).sum(axis=1)
    drawn = of(figures, times[:, member])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Estimate(
        value=value, low=float(low), high=float(high), error=float(np.std(drawn)), groups=count
    )
