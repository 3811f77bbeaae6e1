"""The index and the samples against the warehouse."""

import pytest

from tests.twin.monitoring.seen import HOUR, NOW
from twin.domain.monitoring import Standing
from twin.monitoring.currency import (
    LiveDocument,
    data_changed,
    index_behind,
    newest_trained,
    samples_behind,
)
from twin.stores.registry import ModelVersion


def live(**revisions):
    return {id_: LiveDocument(revision, NOW) for id_, revision in revisions.items()}


def test_new_changed_and_gone_documents_leave_the_index_behind():
    found = index_behind(live(a="1", b="2", c="1"), {"a": "1", "b": "1", "d": "1"})
    assert (found.standing, found.value, found.count) == (Standing.BAD, 3, 3)
    assert found.says == (
        "2 of 3 documents are not in the index as they stand, and 1 are that are gone"
    )
    assert index_behind(live(a="1"), {"a": "1"}).standing is Standing.GOOD


def test_the_same_gap_has_the_same_cause_and_another_one_another():
    causes = {
        index_behind(live(a="1", b="1"), {"a": "1"}).cause,
        index_behind(live(b="1", a="1"), {"a": "1"}).cause,
        index_behind(live(a="1", b="2"), {"a": "1"}).cause,
        index_behind(live(a="1"), {"a": "1", "b": "1"}).cause,
    }
    assert len(causes) == 3


def test_samples_are_of_the_index_as_it_is():
    assert samples_behind("x", "x").standing is Standing.GOOD
    assert samples_behind("y", "x").standing is Standing.BAD
    assert samples_behind(None, "x").standing is Standing.BAD
    assert samples_behind("y", "x").cause != samples_behind("y", "z").cause


@pytest.mark.parametrize(
    ("limit", "standing"),
    [(0.5, Standing.BAD), (0.51, Standing.GOOD), (None, Standing.GOOD), (0.0, Standing.GOOD)],
)
def test_what_is_new_since_the_newest_model(limit, standing):
    documents = {
        "old": LiveDocument("1", NOW - HOUR),
        "same": LiveDocument("1", NOW),
        "new": LiveDocument("1", NOW + HOUR),
    }
    found = data_changed(documents, {"old", "same", "gone"}, NOW, limit)
    assert (found.standing, found.value, found.count) == (standing, 0.5, 4)


def test_a_trial_is_not_the_newest_model():
    plain, trial = (ModelVersion("twin-a", n, "u", "d", "r", tags) for n, tags in
                    (("1", {}), ("2", {"trial": "training.sft.epochs=9"})))  # fmt: skip
    assert newest_trained([plain, trial]) is plain
    assert newest_trained([trial]) is None


def test_without_a_model_all_is_new_so_that_the_first_one_is_trained():
    found = data_changed(live(a="1", b="1"), {"gone"}, None, 1.0)
    assert (found.standing, found.value, found.count) == (Standing.BAD, 1.0, 2)
    assert "no model is registered yet" in found.says
    assert data_changed(live(a="1"), (), None, None).standing is Standing.GOOD
    assert data_changed({}, (), None, 0.1).standing is Standing.GOOD
    assert data_changed({}, (), NOW, 0.1).standing is Standing.GOOD
