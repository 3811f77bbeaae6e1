"""Which versions and rerankers are needed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from twin.domain.rollout import Lease, RolloutState, ServedVersion
from twin.monitoring.needed import needed_rerankers, needed_versions, running
from twin.stores.job_runs import JobRun
from twin.stores.registry import ModelVersion
from twin.stores.rerankers import RerankerReport
from twin.stores.trained_models import Gain

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


def version(number):
    uri, old = f"file:///{number}", NOW - 99 * DAY
    return ModelVersion("twin-tiny", str(number), uri, "d", "r", created=old)


VERSIONS = [version(number) for number in range(1, 9)]


def served(number, rerank="off"):
    recipe = {"retrieval": {"rerank": rerank}}
    return ServedVersion(version=str(number), weights_uri="u", weights_digest="d", recipe=recipe)


EMPTY = RolloutState(model="twin-tiny")


def needed(aliases=None, state=EMPTY, newest=2):
    return set(needed_versions(VERSIONS, aliases or {}, state, newest, NOW - DAY, NOW))


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


def test_what_was_registered_lately_is_kept_and_what_says_no_age():
    at = [NOW, NOW - DAY, NOW - DAY - SECOND, None]
    versions = [replace(version(number), created=created) for number, created in enumerate(at, 1)]
    kept = needed_versions(versions, {}, EMPTY, 0, NOW - DAY - SECOND, NOW)
    assert kept == dict.fromkeys("124", "registered lately")


def test_while_a_rollout_is_under_way_all_versions_are_kept():
    lease = Lease(token="t", run_id="r7", place="p", pid=1, expires=NOW + SECOND)
    state = EMPTY.model_copy(update={"lease": lease})
    assert needed(state=state) == set("12345678")
    assert "r7" in needed_versions(VERSIONS, {}, state, 1, NOW, NOW)["1"]
    ended = lease.model_copy(update={"expires": NOW})
    assert needed(state=EMPTY.model_copy(update={"lease": ended})) == {"7", "8"}


def test_what_waits_for_a_person_is_kept():
    assert needed(state=EMPTY.model_copy(update={"awaits": "5"})) == {"5", "7", "8"}


@pytest.mark.parametrize(("age", "works"), [(7 * DAY - SECOND, True), (7 * DAY, False)])
def test_a_run_is_at_work_until_it_ends_or_a_week_is_over(age, works):
    run = JobRun(key="k", began=NOW - age, is_running=True)
    assert running([run], NOW) == ([run] if works else [])
    assert running([run.model_copy(update={"is_running": False})], NOW) == []


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
