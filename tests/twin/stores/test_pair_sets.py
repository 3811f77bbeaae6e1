"""Pair sets as they are stored: every field comes back, and each version of samples has its own."""

import pyarrow as arrow
import pytest
from pyarrow import parquet

from tests.twin.datasets.sets import HISTORY, pair, publish_pairs
from twin.domain.errors import BadDataError
from twin.domain.sample import Split
from twin.stores.files import open_files
from twin.stores.pair_sets import PairSets

FULL = pair("a", context=("p1", "p2"), history=HISTORY, likeness=0.25)
BARE = pair("b", sample_id="", likeness=None)


@pytest.fixture
def sets(settings):
    return PairSets(open_files(settings), "ann")


def test_every_field_comes_back_in_order(sets, settings):
    publish_pairs(settings, "s1", "p1", [FULL, BARE])
    assert sets.pairs("s1", "p1") == [FULL, BARE]
    assert sets.manifest("s1", "p1").pairs == 2
    assert open_files(settings).read_text("pairs/ann/s1/p1/README.md") == "card"


def test_an_empty_set_is_a_set(sets, settings):
    publish_pairs(settings, "s1", "p1", [])
    assert sets.is_published("s1", "p1")
    assert sets.newest("s1") == "p1"
    assert sets.newest_pairs("s1") == sets.pairs("s1", "p1") == []


def test_the_newest_is_that_of_the_same_samples(sets, settings):
    assert sets.newest("s1") is None
    assert sets.newest_pairs("s1") == []
    publish_pairs(settings, "s1", "p1", [FULL])
    publish_pairs(settings, "s1", "p2", [BARE])
    publish_pairs(settings, "s2", "p3", [])
    assert sets.newest_pairs("s1") == [BARE]
    assert sets.newest("s2") == "p3"
    sets.make_newest("s1", "p1")
    assert sets.newest_pairs("s1") == [FULL]
    assert not sets.is_published("s2", "p1")
    assert PairSets(open_files(settings), "bea").newest("s1") is None


def test_a_newest_that_is_gone_is_none(sets, settings):
    publish_pairs(settings, "s1", "p1", [FULL])
    open_files(settings).remove(sets.folder("s1", "p1"))
    assert sets.newest("s1") is None
    assert sets.newest_pairs("s1") == []


def test_what_is_damaged_is_named(sets, settings):
    publish_pairs(settings, "s1", "p1", [FULL])
    folder = sets.uri("s1", "p1").removeprefix("file://")
    path = f"{folder}/preferences/{Split.TRAIN.value}.parquet"
    parquet.write_table(arrow.table({"id": ["s"]}), path)
    with pytest.raises(BadDataError, match=r"preferences/train.parquet: damaged"):
        sets.pairs("s1", "p1")
    open_files(settings).write_json("pairs/ann/s1/p1/manifest.json", {"version": "p1"})
    with pytest.raises(BadDataError, match=r"p1/manifest.json: recipe: Field required"):
        sets.manifest("s1", "p1")
