"""What nothing needs any more, and above all what something does."""

import pytest

from twin.domain.rollout import RolloutState, ServedVersion
from twin.monitoring.unneeded import (
    needed_rerankers,
    needed_versions,
    unneeded_samples,
    unneeded_weights,
)
from twin.stores.registry import ModelVersion
from twin.stores.rerankers import RerankerReport
from twin.stores.trained_models import Gain


def version(number, *, weights=None, samples=None):
    uri = f"file:///{weights or number}"
    tags = {"dataset_version": samples or f"s{number}"}
    return ModelVersion("twin-tiny", str(number), uri, "d", "r", tags)


VERSIONS = [version(number) for number in range(1, 9)]


def served(number, rerank="off"):
    recipe = {"retrieval": {"rerank": rerank}}
    return ServedVersion(version=str(number), weights_uri="u", weights_digest="d", recipe=recipe)


EMPTY = RolloutState(model="twin-tiny")


def needed(aliases=None, state=EMPTY, newest=2):
    return set(needed_versions(VERSIONS, aliases or {}, state, newest))


@pytest.mark.parametrize(("newest", "kept"), [(1, {"8"}), (2, {"7", "8"}), (99, set("12345678"))])
def test_the_newest_are_kept(newest, kept):
    assert needed(newest=newest) == kept


def test_whatever_an_alias_points_at_is_kept_whoever_set_it():
    assert needed({"champion": "1", "grandmothers-favourite": "3"}) == {"1", "3", "7", "8"}


def test_what_serves_waits_warm_or_would_be_gone_back_to_is_kept():
    state = EMPTY.model_copy(
        update={"versions": (served(2),), "previous": served(3), "warm": served(4)}
    )
    assert needed(state=state) == {"2", "3", "4", "7", "8"}


def test_weights_that_a_needed_version_shares_are_needed():
    versions = [version(1, weights="w"), version(2), version(3, weights="w"), version(4)]
    found = unneeded_weights(versions, {"3": "", "4": ""})
    assert [(each.place, each.of) for each in found] == [("file:///2", ("2",))]
    assert unneeded_weights(versions, dict.fromkeys("1234", "")) == []
    [both, _, _] = unneeded_weights(versions, {})
    assert both.of == ("1", "3")


def samples(published, latest=None, of_rerankers=(), kept=("4",)):
    versions = [version(1), version(2), version(3, samples="s2"), version(4, samples="s2"),
                version(5)]  # fmt: skip
    found = unneeded_samples(versions, dict.fromkeys(kept, ""), published, latest, of_rerankers)
    return [each.place for each in found]


def test_samples_go_with_the_last_version_that_learnt_from_them():
    assert samples(["s1", "s2", "s5"]) == ["s1", "s5"]
    assert samples(["s1", "s2", "s5"], kept=()) == ["s1", "s2", "s5"]
    assert samples(["s1", "s2", "s5"], latest="s5") == ["s1"]
    assert samples(["s1", "s2", "s5"], of_rerankers=["s1"]) == ["s5"]


def test_samples_that_no_version_learnt_from_may_be_in_use():
    assert samples(["new"]) == []


def test_rerankers_that_are_offered_served_or_new_are_kept():
    gain = Gain(questions=9, documents=9, before=0.5, after=0.6)
    reports = {
        name: RerankerReport(
            version=name, embedder="e", dataset_version=f"s-{name}", index_fingerprint="f",
            weight=0.5, max_length=64, trained_on=40, validation=gain, wins=True,
        )
        for name in ("a", "b", "c", "d", "e")
    }  # fmt: skip
    state = EMPTY.model_copy(
        update={"versions": (served(1, "trained@b"),), "previous": served(2, "trained@c")}
    )
    assert needed_rerankers(reports, "a", state, "s-d") == {"a", "b", "c", "d"}
    assert needed_rerankers(reports, None, EMPTY, None) == set()
