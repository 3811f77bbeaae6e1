"""Calls that threads make at once are carried out together; each thread gets its own answer."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from twin.stores.grouped_calls import GroupedCalls

THREADS, EACH = 16, 8


class Doubling:
    """Takes its time, as a disk does, and remembers what it was given."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.groups.append(list(numbers))
        time.sleep(0.005)
        return [2 * number for number in numbers]


def test_each_gets_its_own_answer_from_fewer_groups() -> None:
    double = Doubling()
    calls = GroupedCalls(double, largest=5)
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(calls.call, range(THREADS * EACH)))
    assert found == [2 * number for number in range(THREADS * EACH)]
    assert sorted(n for group in double.groups for n in group) == list(range(THREADS * EACH))
    assert len(double.groups) < THREADS * EACH / 2
    assert max(map(len, double.groups)) <= 5


def test_a_call_waits_for_company_only_where_some_is_expected() -> None:
    double = Doubling()
    alone = GroupedCalls(double, seconds=30)
    assert alone.call(1) == 2  # or the test would take half a minute
    company = GroupedCalls(double, lambda: True, largest=4, seconds=30)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(company.call, range(4))) == [0, 2, 4, 6]
    assert [sorted(group) for group in double.groups] == [[1], [0, 1, 2, 3]]


def test_nobody_waits_longer_than_allowed_or_for_those_who_no_longer_come() -> None:
    double = Doubling()
    started = time.monotonic()
    assert GroupedCalls(double, lambda: True, seconds=0.2).call(1) == 2
    assert 0.2 <= time.monotonic() - started < 10
    expected = threading.Event()
    expected.set()
    threading.Timer(0.1, expected.clear).start()
    assert GroupedCalls(double, expected.is_set, seconds=30).call(1) == 2


def test_an_error_reaches_all_of_its_group_and_no_other() -> None:
    def refuse_odd(numbers: Sequence[int]) -> list[int]:
        time.sleep(0.002)
        if any(number % 2 for number in numbers):
            raise ValueError("odd")
        return list(numbers)

    calls = GroupedCalls(refuse_odd, largest=1)

    def fails(number: int) -> bool:
        try:
            return calls.call(number) != number
        except ValueError:
            return True

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(fails, range(16))) == [bool(n % 2) for n in range(16)]
    together = GroupedCalls(refuse_odd, lambda: True, largest=2, seconds=30)

    def fails_too(number: int) -> bool:
        with pytest.raises(ValueError, match="odd"):
            together.call(number)
        return True

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(fails_too, (2, 3)))
    assert calls.call(4) == 4
