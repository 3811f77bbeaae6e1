"""Calls that coroutines make at once are carried out together; each gets its own answer."""

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from twin.crawl.web.batches import AT_ONCE, Batches


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


class Doubling:
    """Takes its time, as a disk does, and remembers what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.most = self._now = 0
        self._lock = threading.Lock()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        with self._lock:
            self.batches.append(list(numbers))
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.005)
        with self._lock:
            self._now -= 1
        return [2 * number for number in numbers]


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


async def all_of(batches: Batches, numbers: Sequence[int]) -> list[Any]:
    return await asyncio.gather(*(batches.call(n) for n in numbers), return_exceptions=True)


def test_each_gets_its_own_answer_from_fewer_batches(threads: ThreadPoolExecutor) -> None:
    double = Doubling()

    async def work() -> list[Any]:
        return await all_of(Batches(double, threads, largest=5), range(128))

    assert run(work()) == [2 * number for number in range(128)]
    assert sorted(n for batch in double.batches for n in batch) == list(range(128))
    assert len(double.batches) < 64 and max(map(len, double.batches)) == 5
    assert double.most == AT_ONCE


def test_a_call_waits_for_company_only_where_some_is_expected(threads: ThreadPoolExecutor) -> None:
    double = Doubling()

    async def work() -> None:
        alone = Batches(double, threads, seconds=30)
        assert await alone.call(1) == 2  # or the test would take half a minute
        company = Batches(double, threads, lambda: True, largest=4, seconds=30)
        assert await all_of(company, range(4)) == [0, 2, 4, 6]

    run(work())
    assert double.batches == [[1], [0, 1, 2, 3]]


def test_large_ones_go_in_batches_of_their_own(threads: ThreadPoolExecutor) -> None:
    double = Doubling()
    sizes = (10, 600_000, 300_000, 200_000, 3_000_000, 10)

    async def work() -> None:
        company = Batches(double, threads, lambda: True, largest=len(sizes), seconds=0.2)
        await asyncio.gather(*(company.call(n, size) for n, size in enumerate(sizes)))

    run(work())
    assert sorted(double.batches) == [[0, 1, 2], [3], [4], [5]]


def test_nobody_waits_longer_than_allowed_or_for_those_who_no_longer_come(
    threads: ThreadPoolExecutor,
) -> None:
    double = Doubling()
    expected = threading.Event()
    expected.set()

    async def work() -> None:
        started = time.monotonic()
        assert await Batches(double, threads, lambda: True, seconds=0.2).call(1) == 2
        assert 0.2 <= time.monotonic() - started < 10
        asyncio.get_running_loop().call_later(0.1, expected.clear)
        assert await Batches(double, threads, expected.is_set, seconds=30).call(1) == 2

    run(work())


def test_an_error_reaches_all_of_its_batch_and_no_other(threads: ThreadPoolExecutor) -> None:
    def refuse_odd(numbers: Sequence[int]) -> list[int]:
        if any(number % 2 for number in numbers):
            raise ValueError("odd")
        return list(numbers)

    async def work() -> None:
        calls = Batches(refuse_odd, threads, largest=2)
        # The first goes alone: nobody waits with it yet.
        found = await all_of(calls, [0, 2, 4, 6, 7, 8])
        assert found.count(7) == 0 and len([one for one in found if one in {0, 2, 4}]) == 3
        assert any(isinstance(one, ValueError) for one in found)
        assert await calls.call(10) == 10

    run(work())


def test_who_is_cancelled_is_in_nobodys_way(threads: ThreadPoolExecutor) -> None:
    double = Doubling()

    async def work() -> None:
        batches = Batches(double, threads)
        one, other = (asyncio.ensure_future(batches.call(number)) for number in (1, 2))
        await asyncio.sleep(0)
        one.cancel()
        assert await other == 4 and one.cancelled()

    run(work())
