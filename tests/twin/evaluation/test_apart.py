"""Figures from memory and from passages apart."""

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pytest

from twin.evaluation.apart import MEMORY, PASSAGES, among, apart
from twin.evaluation.held_out import HeldOut
from twin.evaluation.resampling import Statistic, estimate, mean_of, share_of

GROUPS = ("a", "a", "b", "b")


@dataclass
class Model:
    """Statistics only: nothing else of a measured model is looked at."""

    statistics: dict[str, Statistic] = field(default_factory=dict)


@dataclass
class Asked:
    context: tuple[str, ...]


def held_out(*shown):
    samples = tuple(Asked(("passage",) if each else ()) for each in shown)
    return HeldOut(samples, ([],) * len(shown), GROUPS[: len(shown)])


def test_a_statistic_is_taken_over_the_chosen_samples():
    one = among(mean_of([1, 2, 3, 4]), [True, False, False, True])
    assert estimate(one, GROUPS).value == 2.5
    assert estimate(one, GROUPS).groups == 2
    whole = mean_of([1, 2, 3, 4], least=-1, most=9)
    kept = among(whole, [True] * 4)
    assert estimate(kept, GROUPS) == estimate(whole, GROUPS)
    assert (kept.least, kept.most) == (-1, 9)


def test_samples_that_do_not_count_are_not_chosen():
    some = share_of([1, 0, 1, 0], [True, True, False, False])
    assert estimate(among(some, [True, False, True, True]), GROUPS).value == 1
    assert among(some, [False, False, True, True]) is None


def test_each_way_of_asking_has_its_own_figures():
    models = {
        "candidate": Model({"rouge_l": mean_of([1, 2, 3, 4]), "refusal_share": share_of([0] * 4)}),
        "base": Model({"rouge_l": mean_of([5, 6, 7, 8], [True, True, False, False])}),
    }
    sure = partial(estimate, groups=GROUPS)
    found = apart(models, held_out(True, False, True, True), sure)
    assert set(found) == {MEMORY, PASSAGES}
    assert found[MEMORY]["ROUGE-L"]["candidate"].value == 2
    assert found[PASSAGES]["ROUGE-L"]["candidate"].value == pytest.approx(8 / 3)
    assert found[PASSAGES]["ROUGE-L"]["base"].value == 5
    assert set(found[MEMORY]["Refusals"]) == {"candidate"}
    late = apart(models, held_out(True, True, False, True), sure)
    assert set(late[MEMORY]["ROUGE-L"]) == {"candidate"}, "none of the base's counts there"


@pytest.mark.parametrize("shown", [(True, True), (False, False)])
def test_where_all_are_asked_in_one_way_there_is_nothing_to_tell_apart(shown):
    models = {"candidate": Model({"rouge_l": mean_of(np.ones(2))})}
    assert apart(models, held_out(*shown), partial(estimate, groups=GROUPS[:2])) == {}
