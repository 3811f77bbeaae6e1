"""Counts of callers: two replicas on a real server that speaks MongoDB's protocol, and alone."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr

from twin.domain.errors import TryAgainError
from twin.settings import Settings
from twin.stores import caller_counts
from twin.stores.caller_counts import LocalCounts, SharedCounts

DAY = "2026-05-01"


@pytest.fixture
def pair(stores_settings: Settings) -> tuple[SharedCounts, SharedCounts]:
    """The counts as two replicas have them."""
    return SharedCounts(stores_settings), SharedCounts(stores_settings)


def lease() -> str:
    return uuid.uuid4().hex


def test_requests_of_all_replicas_count_together(pair) -> None:
    one, other = pair
    granted, left = [], []
    for counts in (one, other, one, other):
        granted.append(counts.hit("a", 3))
        left.append(counts.window("a", 3))
    assert granted == [True, True, True, False]
    assert [window.remaining for window in left] == [2, 1, 0, 0]
    assert all(0 < window.reset_seconds <= 60 for window in left)
    assert other.window("b", 3).remaining == 3


def test_alone_requests_count_the_same_way() -> None:
    counts = LocalCounts()
    assert [counts.hit("a", 2) for _ in range(3)] == [True, True, False]
    window = counts.window("a", 2)
    assert window.remaining == 0
    assert 0 < window.reset_seconds <= 60
    assert counts.hit("b", 2)
    assert counts.window("b", 2).remaining == 1


def test_requests_at_the_same_moment_are_all_counted(pair) -> None:
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(pair[number % 2].hit, "a", 10) for number in range(25)]
        granted = [call.result() for call in calls]
    assert sum(granted) == 10


def test_tokens_add_up_by_key_and_day(pair) -> None:
    one, other = pair
    assert one.spent("a", DAY) == 0
    one.spend("a", DAY, 30)
    other.spend("a", DAY, 12)
    other.spend("b", DAY, 5)
    one.spend("a", "2026-05-02", 1)
    assert [one.spent("a", DAY), other.spent("a", DAY), one.spent("b", DAY)] == [42, 42, 5]


def test_answers_of_all_replicas_count_together(pair) -> None:
    one, other = pair
    first, second = lease(), lease()
    assert one.take_slot("a", 2, first)
    assert other.take_slot("a", 2, second)
    assert not one.take_slot("a", 2, lease())
    assert one.take_slot("b", 1, lease())
    one.free_slot("a", second)
    one.free_slot("a", "nobody's")
    assert other.take_slot("a", 2, lease())
    assert not other.take_slot("a", 2, lease())


def test_slots_at_the_same_moment_are_not_given_twice(pair) -> None:
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(pair[number % 2].take_slot, "a", 4, lease()) for number in range(20)]
        taken = [call.result() for call in calls]
    assert sum(taken) == 4


def test_a_lease_of_a_replica_that_was_killed_ends(pair, monkeypatch) -> None:
    monkeypatch.setattr(caller_counts, "LEASE_SECONDS", -1)
    assert pair[0].take_slot("a", 1, lease())
    monkeypatch.undo()
    assert pair[1].take_slot("a", 1, lease())
    assert not pair[1].take_slot("a", 1, lease())


def test_alone_answers_count_the_same_way() -> None:
    counts = LocalCounts()
    assert counts.take_slot("a", 1, "x")
    assert not counts.take_slot("a", 1, "y")
    assert counts.take_slot("b", 1, "y")
    counts.free_slot("a", "x")
    counts.free_slot("a", "x")
    assert counts.take_slot("a", 1, "y")
    assert counts.take_slot("a", None, "z")


def test_a_server_that_is_away_is_said_without_its_password(settings: Settings) -> None:
    secret = SecretStr("mongodb://user:hidden@127.0.0.1:1/")
    counts = SharedCounts(settings.model_copy(update={"mongo_uri": secret}))
    for call in (
        lambda: counts.hit("a", 1),
        lambda: counts.window("a", 1),
        lambda: counts.spent("a", DAY),
        lambda: counts.spend("a", DAY, 1),
        lambda: counts.take_slot("a", 1, "x"),
        lambda: counts.free_slot("a", "x"),
    ):
        with pytest.raises(TryAgainError) as error:
            call()
        assert "hidden" not in str(error.value)
