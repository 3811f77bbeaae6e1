"""Candidate pairs of callers' feedback: kept beside the samples, and forgotten with documents."""

import pytest

from tests.twin.datasets.sets import candidate
from twin.domain.errors import BadDataError
from twin.stores.feedback_pairs import FeedbackPairs
from twin.stores.files import open_files


@pytest.fixture
def store(settings):
    return FeedbackPairs(open_files(settings), "ann")


def names(store):
    return [each.pair.id for each in store.read()]


def test_they_are_replaced_as_a_whole(store):
    assert store.read() == ()
    first, second = candidate("a"), candidate("b")
    assert store.replace([second, first])
    assert store.read() == (first, second)
    assert not store.replace([first, second]), "the same, in whichever order"
    assert store.replace([second])
    assert names(store) == ["b"]


def test_with_each_document_that_is_part_of_one_it_is_forgotten(store):
    assert store.forget({"d1"}) == 0
    store.replace([candidate("a", "d1"), candidate("b", "d2", "d1"), candidate("c", "d2")])
    assert store.forget({"d9"}) == 0
    assert store.forget({"d1"}) == 2
    assert names(store) == ["c"]
    assert store.forget({"d2"}) == 1
    assert store.read() == ()


def test_a_damaged_file_is_named(store, settings):
    open_files(settings).write_json(store.name, [{"pair": 1}])
    with pytest.raises(BadDataError, match=r"feedback\.json: 0\.pair: .* run `twin datasets feed"):
        store.read()
