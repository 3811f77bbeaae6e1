from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.domain.rollout import MAX_EVENTS, RolloutState, ServedVersion
from twin.rollout.transitions import (
    baseline,
    dark,
    event,
    mirrored,
    noted,
    progressed,
    retired,
    settled,
    shares,
    shifted,
    with_figures,
)


def version(number, replicas=2):
    return ServedVersion(
        version=str(number),
        weights_uri=f"/w/{number}",
        weights_digest=str(number),
        recipe={"serving": {"replicas": replicas}},
    )


NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = RolloutState(model="twin-a")
SEVEN = RolloutState(model="twin-a", versions=(version(7),), weights={"7": 100})


def test_a_new_version_starts_dark_beside_what_serves():
    state = dark(SEVEN, version(8))
    assert [item.version for item in state.versions] == ["7", "8"]
    assert state.weights == {"7": 100}


def test_traffic_is_shared_between_the_two():
    state = shifted(dark(SEVEN, version(8)), version(8), 10)
    assert state.weights == {"7": 90, "8": 10}
    assert shifted(state, version(8), 100).weights == {"7": 0, "8": 100}


def test_at_the_end_the_new_one_runs_alone_and_the_old_one_is_remembered():
    state = settled(shifted(dark(SEVEN, version(8)), version(8), 100), version(8), NOW)
    assert state.versions == (version(8),)
    assert state.weights == {"8": 100}
    assert state.previous == version(7)


def test_the_first_version_has_nobody_to_share_with_and_nothing_to_go_back_to():
    state = dark(NOTHING, version(1))
    assert shares(state, version(1), (10, 100)) == (100,)
    assert state.weights == {}
    state = shifted(state, version(1), 100)
    assert state.weights == {"1": 100}
    assert settled(state, version(1), NOW).previous is None
    assert baseline(dark(NOTHING, version(1))).versions == ()
    assert dark(dark(NOTHING, version(1)), version(2)).versions == (version(2),)


def test_the_same_version_with_more_replicas_takes_its_own_place():
    wider = version(7, replicas=4)
    state = dark(SEVEN, wider)
    assert state.versions == (wider,)
    assert state.weights == {"7": 100}
    assert baseline(SEVEN) == SEVEN
    assert shares(state, wider, (10, 100)) == (100,)
    assert settled(state, wider, NOW).previous is None


def test_a_rollout_that_was_killed_has_a_baseline_too():
    killed = shifted(dark(SEVEN, version(8)), version(8), 50)
    assert baseline(killed).weights == {"7": 100}
    # The champion has moved on in the meantime: 8 is dropped, 7 still serves.
    assert [item.version for item in dark(killed, version(9)).versions] == ["7", "9"]


@given(st.integers(1, 100))
def test_after_a_kill_one_goes_back_to_what_is_proven_and_at_once(share):
    """The version that a killed rollout left half proven never serves alone on the way."""
    six = SEVEN.model_copy(update={"previous": version(6)})
    killed = shifted(dark(six, version(8)), version(8), share)
    assert killed.rollback_target == version(7)
    for seven in (version(7), version(7, replicas=4)):
        state = dark(killed, seven)
        assert (state.versions, state.weights) == ((seven,), {"7": 100})
        assert shares(state, seven, (10, 100)) == (100,)
        assert baseline(killed).versions == (version(7),)
        end = settled(shifted(state, seven, 100), seven, NOW)
        assert (end.versions, end.weights) == ((seven,), {"7": 100})
        assert end.rollback_target == version(6)


@given(st.integers(1, 100), st.integers(1, 100))
def test_whenever_it_is_killed_running_it_again_ends_the_same(first, second):
    new = version(8)
    killed = shifted(dark(SEVEN, new), new, first)
    again = shifted(dark(killed, new), new, second)
    assert baseline(again).versions == (version(7),)
    end = settled(again, new, NOW)
    assert (end.versions, end.weights, end.previous) == ((new,), {"8": 100}, version(7))


def test_history_keeps_the_newest():
    state = NOTHING
    for number in range(MAX_EVENTS + 5):
        line = event(datetime(2026, 1, 1, tzinfo=UTC), "run", "starting", version(number))
        state = noted(state, line)
    assert len(state.history) == MAX_EVENTS
    assert state.history[-1].version == str(MAX_EVENTS + 4)


@pytest.mark.parametrize("section", ["author", "features", "prompt", "retrieval", "serving"])
def test_only_what_a_replica_reads_makes_another_service(section):
    recipe = {"name": "a", section: {"knob": 2}, "crawl": {"max_pages": 1}}
    one = version(7).model_copy(update={"recipe": recipe})
    crawled = one.model_copy(update={"recipe": {**recipe, "crawl": {"max_pages": 2}}})
    other = one.model_copy(update={"recipe": {**recipe, section: {"knob": 3}}})
    assert one.serves_like(crawled)
    assert one.configuration == crawled.configuration
    assert not one.serves_like(other)
    assert not one.answers_like(other)
    assert one.configuration != other.configuration
    assert not one.serves_like(one.model_copy(update={"version": "8"}))
    assert not one.serves_like(one.model_copy(update={"weights_digest": "e"}))
    assert not one.serves_like(one.model_copy(update={"base_digest": "e"}))


def test_an_adapter_names_its_base():
    with pytest.raises(ValueError, match="base_uri and base_digest"):
        ServedVersion(
            version="7", weights_uri="a", weights_digest="d", weights="adapter", recipe={}
        )


def test_an_event_keeps_its_reason():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    line = event(now, "run", "failed", version(7), "no memory")
    assert (line.message, line.event, line.run_id, line.time) == ("no memory", "failed", "run", now)
    assert (line.version, line.configuration) == ("7", version(7).configuration)


def test_the_version_before_is_warm_until_its_time_is_over():
    at_the_end = shifted(dark(SEVEN, version(8)), version(8), 100)
    state = settled(at_the_end, version(8), NOW, warm_seconds=60)
    assert [item.version for item in state.running] == ["8", "7"]
    assert state.versions == (version(8),)
    assert retired(state, NOW + timedelta(seconds=59)) == state
    cold = retired(state, NOW + timedelta(seconds=60))
    assert (cold.running, cold.warm, cold.previous) == ((version(8),), None, version(7))
    assert retired(cold, NOW) == cold
    assert settled(at_the_end, version(8), NOW).running == (version(8),)
    # Another recipe for what serves takes nothing from what is warm.
    again = settled(dark(state, version(8, replicas=4)), version(8, replicas=4), NOW)
    assert again.warm == version(7)
    nine = settled(dark(state, version(9)), version(9), NOW)
    assert nine.running == (version(9),)


def test_going_back_to_what_is_warm_runs_it_once():
    state = settled(shifted(dark(SEVEN, version(8)), version(8), 100), version(8), NOW, 60)
    back = dark(state, version(7))
    assert [item.version for item in back.running] == ["8", "7"]
    end = settled(back, version(7), NOW, 60)
    assert [item.version for item in end.running] == ["7", "8"]


def test_questions_are_mirrored_until_traffic_is_shared():
    state = mirrored(dark(SEVEN, version(8)), 30)
    assert state.shadow == 30
    assert shifted(state, version(8), 10).shadow == 0
    assert baseline(state).shadow == 0
    assert settled(state, version(8), NOW).shadow == 0
    assert not state.serves_as(dark(SEVEN, version(8)))


def test_what_only_a_rollout_reads_is_no_other_service():
    knobs = {"max_new_tokens": 9, "step_seconds": 2, "rollout": {"shadow_percent": 5}}
    one = version(7).model_copy(update={"recipe": {"serving": knobs}})
    for key in ("step_seconds", "rollout", "traffic_steps", "start_timeout_seconds"):
        other = one.model_copy(update={"recipe": {"serving": {**knobs, key: 7}}})
        assert one.serves_like(other), key
    longer = one.model_copy(update={"recipe": {"serving": {**knobs, "max_new_tokens": 10}}})
    assert not one.serves_like(longer)


@pytest.mark.parametrize(
    "key", ["replicas", "autoscaling", "version_replicas", "max_queued_requests"]
)
def test_how_many_answer_changes_no_answer(key):
    one = version(7).model_copy(update={"recipe": {"serving": {"max_new_tokens": 9}}})
    other = one.model_copy(update={"recipe": {"serving": {"max_new_tokens": 9, key: 3}}})
    assert one.answers_like(other)
    assert one.configuration == other.configuration
    assert not one.serves_like(other)
    # The engine that adapters share is named by these two: another one starts beside it.
    adapters = [
        item.model_copy(update={"weights": "adapter", "base_uri": "b", "base_digest": "b"})
        for item in (one, other)
    ]
    alike = adapters[0].answers_like(adapters[1])
    assert alike == (key in ("version_replicas", "max_queued_requests"))


def test_two_configurations_of_one_version_share_the_traffic():
    other = version(7).model_copy(update={"name": "7-0123abcd"})
    state = dark(SEVEN, other)
    assert [item.name for item in state.running] == ["7", "7-0123abcd"]
    state = shifted(state, other, 20)
    assert state.shares == {"7": 80, "7-0123abcd": 20}
    assert state.version("7-0123abcd") == other
    assert (baseline(state).versions, baseline(state).shares) == ((version(7),), {"7": 100})
    end = settled(shifted(state, other, 100), other, NOW, warm_seconds=60)
    assert (end.serving, end.previous, end.warm) == (other, version(7), version(7))
    assert end.shares == {"7-0123abcd": 100, "7": 0}
    back = settled(shifted(dark(end, version(7)), version(7), 100), version(7), NOW)
    assert (back.shares, back.previous) == ({"7": 100}, other)


def test_figures_are_kept_at_the_step_that_they_are_of():
    assert with_figures(SEVEN, ["errors: passed"]) == SEVEN
    begun = progressed(SEVEN, NOW, "10%", "8")
    found = with_figures(begun, ["errors: passed", "speed: undecided"])
    assert found.progress.figures == ("errors: passed", "speed: undecided")
    assert (found.progress.step, found.progress.version) == ("10%", "8")
