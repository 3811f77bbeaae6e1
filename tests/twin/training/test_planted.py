"""Canaries among the training rows."""

from collections import Counter

from twin.domain.canary import canaries
from twin.recipes.training import CanarySection
from twin.training.planted import DOCUMENT, planted


def test_each_is_there_as_often_as_it_is_repeated_and_marked():
    made = planted(CanarySection(count=3, repeats=2, seed=5))
    assert Counter(each.answer for each in made) == {
        canary.answer(): 2 for canary in canaries(3, 5)
    }
    assert len({each.id for each in made}) == 6
    assert {each.document_id for each in made} == {DOCUMENT}
    assert all(each.context == () for each in made)


def test_none_by_default():
    assert planted(CanarySection()) == []
