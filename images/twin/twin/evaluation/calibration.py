"""How far a judge agrees with people, and the win rate that they would have found.

A judge's mistakes are no chance that averages out: one that overlooks half of the good answers, or
is taken in by fluent ones, moves the win rate itself. Two rates say how it moves. Sensitivity: what
the judge gives (1, a tie 1/2, 0) where people prefer the candidate's answer; specificity: what it
withholds where they prefer the other's. With s and f for the sensitivity and for what it does not
withhold, and of pairs that people find equal the share t, which gets g:

    judge's rate = f + (s - f) x true rate + t x (g - (s + f) / 2)

which is solved for the true rate. The rest is assumed: that the judge errs on tonight's candidate
as it did on the answers that people have seen, and that about as many pairs are equal (it hardly
matters: what they get lies between what the others get).

The interval holds every true rate that is within reach of the judge's one, given the errors of all
these figures over document groups (Fieller); it widens without end as the judge comes close to
guessing, and then there is none.

Why not prediction-powered inference (`ppi-python`): it adds the judge's mean error on people's
pairs, which is right where these are drawn from tonight's. Here the candidates of tomorrow are
judged by pairs of today, and the error moves with the rate itself. On 500 simulated sets each (20
documents of three comparisons, 25 of four pairs; sensitivity 0.85, specificity 0.7) the 95 %
interval of PPI held the truth 95 % of the time where the pairs' true rate was tonight's (0.5), 64 %
for 0.78 by pairs of 0.5, and 73 % for 0.42 by pairs of 0.66; this one 95 % each time, and the
uncorrected one 83, 86 and 68 %. Besides, the package knows no groups, and brings numba, statsmodels
and gdown.

Sources: W. Rogan, B. Gladen, "Estimating prevalence from the results of a screening test",
American Journal of Epidemiology 107(1), 1978; E. Fieller, "Some problems in interval estimation",
JRSS B 16(2), 1954; A. Angelopoulos et al., "Prediction-powered inference", Science 382, 2023.
"""

from collections.abc import Sequence
from functools import partial
from math import sqrt
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from twin.evaluation.power import MIN_GROUPS
from twin.evaluation.resampling import (
    CONFIDENCE,
    Estimate,
    Statistic,
    difference,
    estimate,
    share_of,
)
from twin.rag.judge import Winner

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCORES = {Winner.FIRST: 1.0, Winner.TIE: 0.5, Winner.SECOND: 0.0}
"""What a verdict is worth to the candidate, whose answer is the first."""


UNKNOWN = Estimate(value=0.5, low=0.0, high=1.0, error=0.5)


class Calibration(BaseModel):
    """A judge's agreement with people.

    Attributes:
        pairs: that both have a verdict on.
        unread: pairs of people's that the judge gave no verdict on.
        groups: of documents that the pairs are about.
        kappa: Cohen's, of win, tie and loss: 0 is chance, 1 is agreement on all.
        sensitivity: what the judge gives where people prefer the candidate's.
        specificity: what it withholds where they prefer the other's.
        top: the judge's rate, should people's be 1.
        foot: should it be 0.
        covariance: of the two.
        doubt: why win rates can't be corrected by it; empty if they can.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    pairs: int
    unread: int
    groups: int
    kappa: Estimate
    sensitivity: Estimate
    specificity: Estimate
    top: Estimate
    foot: Estimate
    covariance: float
    doubt: str = ""


def calibrate(
    people: Sequence[Winner], judge: Sequence[Winner], groups: Sequence[str]
) -> Calibration | None:
    """Compare a judge's verdicts with people's on the same pairs; None where there is no pair.

    Args:
        people: theirs, the first answer being the candidate's.
        judge: its own, in their order.
        groups: each pair's group of documents.
    """
    import numpy as np

    read = [place for place, verdict in enumerate(judge) if verdict in SCORES]
    if not read:
        return None
    theirs = np.array([SCORES[people[place]] for place in read])
    its = np.array([SCORES[judge[place]] for place in read])
    names = [groups[place] for place in read]
    sure = partial(estimate, groups=names)
    won, lost = theirs == 1.0, theirs == 0.0
    enough = min(
        len({n for n, each in zip(names, side, strict=True) if each}) for side in (won, lost)
    )
    top, foot = _line(won, lost, its)
    ends = (sure(top), sure(foot), sure(difference(top, foot))) if enough > 1 else (UNKNOWN,) * 3
    found = Calibration(
        pairs=len(read),
        unread=len(judge) - len(read),
        groups=len(set(names)),
        kappa=sure(kappa_of(theirs, its)),
        sensitivity=sure(share_of(its, won)) if won.any() else UNKNOWN,
        specificity=sure(share_of(1 - its, lost)) if lost.any() else UNKNOWN,
        top=ends[0],
        foot=ends[1],
        covariance=(ends[0].error ** 2 + ends[1].error ** 2 - ends[2].error ** 2) / 2,
    )
    return found.model_copy(update={"doubt": _doubt(found, ends[2], enough)})


def corrected(rate: Estimate, by: Calibration) -> Estimate | None:
    """The win rate that people would have found, with an interval that has the errors of both.

    None where the calibration says too little. Its ends keep to 0 and 1.
    """
    if by.doubt or rate.groups < 2:
        return None
    rise = by.top.value - by.foot.value
    value = min(max((rate.value - by.foot.value) / rise, 0.0), 1.0)
    parts = [(rate.error**2, rate.groups), (_variance(by, value), by.groups)]
    ends = _fieller(rate, by, _quantile(parts))
    if ends is None:
        return None
    return Estimate(
        value=value,
        low=min(max(ends[0], 0.0), value),
        high=max(min(ends[1], 1.0), value),
        error=sqrt(sum(variance for variance, _ in parts)) / rise,
        groups=rate.groups,
    )


def kappa_of(people: "NDArray[np.float64]", judge: "NDArray[np.float64]") -> Statistic:
    """Cohen's kappa of two rows of scores; 0 where chance alone would have them agree on all."""
    import numpy as np

    levels = np.array(sorted(SCORES.values()))
    one, other = (each[:, None] == levels for each in (people, judge))

    def of(weights: "NDArray[np.float64]") -> "NDArray[np.float64]":
        total = weights.sum(axis=-1)
        alike = (weights @ (one & other).sum(axis=1)) / total
        chance = ((weights @ one) * (weights @ other)).sum(axis=-1) / total**2
        apart = 1 - chance
        return np.where(apart > 0, (alike - chance) / np.where(apart > 0, apart, 1.0), 0.0)

    return Statistic(of, least=-1.0, most=1.0)


def _line(
    won: "NDArray[np.bool_]", lost: "NDArray[np.bool_]", judge: "NDArray[np.float64]"
) -> tuple[Statistic, Statistic]:
    """The judge's rate at people's rates 1 and 0."""
    import numpy as np

    tied = ~won & ~lost

    def ends(weights: "NDArray[np.float64]") -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
        top, foot = (weights @ (side * judge) / (weights @ side) for side in (won, lost))
        equal = weights @ (tied * judge) - (weights @ tied) * (top + foot) / 2
        shift = equal / weights.sum(axis=-1)
        return np.asarray(top + shift), np.asarray(foot + shift)

    return Statistic(lambda weights: ends(weights)[0]), Statistic(lambda weights: ends(weights)[1])


def _variance(by: Calibration, rate: float) -> float:
    """Of the judge's rate at a true one."""
    above, below = by.top.error**2, by.foot.error**2
    spread = rate**2 * above + (1 - rate) ** 2 * below + 2 * rate * (1 - rate) * by.covariance
    return max(spread, 0.0)


def _doubt(found: Calibration, rise: Estimate, enough: int) -> str:
    """Why win rates can't be corrected by it.

    Args:
        found: what would correct them.
        rise: by how much the judge beats guessing.
        enough: groups in which people prefer the candidate's, and the other's, at least.
    """
    if enough < 2:
        return "people prefer either answer in too few groups of documents"
    if found.groups < MIN_GROUPS:
        return (
            f"people's pairs are about {found.groups} group(s) of documents, at least "
            f"{MIN_GROUPS} are needed"
        )
    if rise.low <= 0:
        return (
            f"on the {found.pairs} pairs that people have judged the judge can't be told from "
            "guessing: have more pairs judged, or take another judge"
        )
    return ""


def _fieller(rate: Estimate, by: Calibration, reach: float) -> tuple[float, float] | None:
    """Where (rate - judge's rate at it)² <= reach² x the variance of both; None: everywhere."""
    rise, offset = by.top.value - by.foot.value, rate.value - by.foot.value
    above, below, square = by.top.error**2, by.foot.error**2, reach**2
    a = rise**2 - square * (above + below - 2 * by.covariance)
    b = -2 * offset * rise - 2 * square * (by.covariance - below)
    c = offset**2 - square * (rate.error**2 + below)
    under = b * b - 4 * a * c
    if a <= 0 or under < 0:
        return None
    root = sqrt(under)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def _quantile(parts: Sequence[tuple[float, int]]) -> float:
    """Of t, for a sum of variances of so many groups each (Welch and Satterthwaite)."""
    from scipy.special import stdtrit

    total = sum(variance for variance, _ in parts)
    spent = sum(variance**2 / (groups - 1) for variance, groups in parts)
    freedom = total**2 / spent if spent else min(groups for _, groups in parts) - 1
    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
