"""Looking after every group, and stopping when it pleases: how often that misleads."""

import math

import numpy as np
import pytest

from tests.twin.evaluation.likings import means, verdicts
from twin.domain.sequential import STEP, running
from twin.evaluation.resampling import estimate, mean_of

ROWS = 200
GROUPS = 60


def test_whoever_stops_when_it_pleases_is_misled_in_one_case_of_twenty_at_most():
    """The interval never takes an excluded mean back: one look at the end tells of all before."""
    rows = [running(means(verdicts(0.5, seed, GROUPS))) for seed in range(ROWS)]
    assert sum(row.is_decided for row in rows) / ROWS <= 0.05
    assert sum(row.evidence >= 20 for row in rows) / ROWS <= 0.05
    held = [running(means(verdicts(0.7, seed, GROUPS))) for seed in range(ROWS)]
    assert sum(row.low <= 0.7 <= row.high for row in held) / ROWS >= 0.95
    assert sum(row.low > 0.5 for row in held) / ROWS >= 0.8, "and it is seen within 60 documents"


def test_looking_at_an_interval_for_a_fixed_set_would_mislead():
    """The same rows, with the interval of a report looked at after every group from the eighth."""
    misled = 0
    for seed in range(100):
        values = means(verdicts(0.5, seed, GROUPS))
        misled += any(
            not (found.low <= 0.5 <= found.high)
            for found in (
                estimate(mean_of(values[:seen]), [str(each) for each in range(seen)])
                for seen in range(8, GROUPS + 1)
            )
        )
    assert misled / 100 > 0.12


def test_pairs_taken_for_groups_would_mislead():
    """Every document all of one mind, as where answers differ by what the model knows of it."""
    draw = np.random.default_rng(1)
    likings = draw.integers(0, 2, (100, 15)).astype(float)
    by_pair = [running(np.repeat(row, 6)).is_decided for row in likings]
    by_group = [running(row).is_decided for row in likings]
    assert sum(by_pair) / 100 > 0.2
    assert sum(by_group) / 100 <= 0.05


def test_what_is_shown_stays_shown():
    values = means(verdicts(0.75, 3, GROUPS)) + [0.5] * 200
    ends = [
        (found.low, found.high) for found in map(running, (values[:n] for n in range(1, 120, 7)))
    ]
    assert ends == [
        (max(low for low, _ in ends[: place + 1]), min(high for _, high in ends[: place + 1]))
        for place in range(len(ends))
    ]


def test_it_is_the_same_from_either_side():
    values = means(verdicts(0.65, 5, GROUPS))
    one, other = running(values), running([1 - value for value in values])
    assert other.low == pytest.approx(1 - one.high)
    assert other.high == pytest.approx(1 - one.low)
    assert other.value == pytest.approx(1 - one.value)
    assert other.evidence == pytest.approx(one.evidence)


def test_nothing_is_known_before_the_first_group_and_little_after_it():
    nothing = running([])
    assert (nothing.groups, nothing.value, nothing.low, nothing.high) == (0, 0.5, 0.0, 1.0)
    assert nothing.evidence == 1.0
    once = running([1.0])
    assert not once.is_decided
    assert once.low < 0.1
    assert once.high == 1.0


def test_the_ends_of_the_scale():
    """All of one kind: decided after a handful, and never beyond 0 and 1."""
    won, lost = running([1.0] * 1_000), running([0.0] * 1_000)
    assert (won.low > 0.98, won.high) == (True, 1.0)
    assert (lost.low, lost.high < 0.02) == (0.0, True)
    assert math.isfinite(won.evidence)
    needed = next(count for count in range(1, 50) if running([1.0] * count).is_decided)
    assert 4 < needed < 12


def test_a_wider_interval_for_more_confidence():
    values = means(verdicts(0.6, 2, GROUPS))
    sure, surer = running(values), running(values, confidence=0.999)
    assert surer.low < sure.low - STEP
    assert surer.high > sure.high + STEP


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_what_is_no_share_is_refused(value):
    with pytest.raises(ValueError, match="between 0 and 1"):
        running([0.5, value])
