"""What changed between two versions."""

import pytest

from tests.twin.datasets.sets import FIRST, SECOND, pair, publish
from twin.datasets.differences import difference, render_difference
from twin.domain.errors import BadDataError
from twin.domain.sample import Split
from twin.stores.files import open_files
from twin.stores.pair_sets import PairSets


@pytest.fixture
def sets(settings):
    documents = {"kept": Split.TRAIN, "moved": Split.TRAIN, "gone": Split.TEST}
    publish(settings, "v1", FIRST, [pair("a")], documents=documents)
    documents = {"kept": Split.TRAIN, "moved": Split.TEST, "new": Split.TRAIN}
    sets = publish(
        settings,
        "v2",
        SECOND,
        [pair("a"), pair("c")],
        documents=documents,
        index_fingerprint="g",
        split_seed=3,
        verdicts={"answer edited": 1, "left out": 2},
    )
    return sets, PairSets(open_files(settings), "ann")


def test_samples_are_told_apart_by_id_text_and_split(sets):
    change = difference(*sets, "v1", "v2")
    samples = change.samples
    assert (samples.kept, samples.rewritten, samples.moved) == (1, 1, 1)
    assert (samples.added, samples.removed) == ({"test": 1}, {"test": 1})
    assert samples.examples == (
        "- new: What of f? (test)",
        "- gone: What of e? (test)",
        "- rewritten: What of b? (train)",
    )
    assert (change.pairs.kept, change.pairs.added) == (1, {"train": 1})


def test_documents_and_inputs(sets):
    change = difference(*sets, "v1", "v2")
    assert change.inputs == {
        "index_fingerprint": ("f", "g"),
        "split_seed": ("None", "3"),
        "verdicts": ("none", "1 answer edited, 2 left out"),
    }
    assert change.documents_added == ("new",)
    assert change.documents_removed == ("gone",)
    assert change.documents_moved == {"moved": (Split.TRAIN, Split.TEST)}


def test_the_text_says_all_of_it(sets):
    text = render_difference(difference(*sets, "v1", "v2"))
    assert "# From v1 to v2" in text
    assert "- index_fingerprint: f became g" in text
    assert "- documents in another split: 1 (moved)" in text
    assert "| samples | 1 | 1 (test 1) | 1 (test 1) | 1 | 1 |" in text
    assert "| pairs | 1 | 1 (train 1) | 0 | 0 | 0 |" in text


def test_a_version_is_equal_to_itself(sets):
    change = difference(*sets, "v2", "v2")
    assert (change.samples.kept, change.samples.added, change.samples.moved) == (4, {}, 0)
    assert (change.inputs, change.documents_moved, change.samples.examples) == ({}, {}, ())
    assert (change.pairs.kept, change.pairs.added, change.pairs.removed) == (2, {}, {})


def test_an_unknown_version_is_refused(sets):
    with pytest.raises((BadDataError, FileNotFoundError)):
        difference(*sets, "v1", "v9")
