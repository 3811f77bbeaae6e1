"""The queue of a crawl: in memory first, on disk beyond that and for a later process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from scrapy import Request, Spider
from scrapy.utils.test import get_crawler

from twin.crawl.web import scheduler
from twin.crawl.web.crawl_sites import FINISHED, SHUTDOWN
from twin.crawl.web.scheduler import SpillingScheduler

ROOM = 3


@pytest.fixture(autouse=True)
def _little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "REQUESTS_IN_MEMORY", ROOM)


@contextmanager
def opened(folder: Path, reason: str = FINISHED) -> Iterator[SpillingScheduler]:
    settings = {
        "JOBDIR": str(folder),
        # The default asks a running engine which host is idle: of no matter with one host.
        "SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.ScrapyPriorityQueue",
        "SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue",
        "SCHEDULER_DISK_QUEUE": "scrapy.squeues.PickleFifoDiskQueue",
    }
    crawler = get_crawler(settings_dict=settings)
    crawler.spider = Spider.from_crawler(crawler, name="queue")
    queue = SpillingScheduler.from_crawler(crawler)
    queue.open(crawler.spider)
    yield queue
    queue.close(reason)


def put(queue: SpillingScheduler, *names: str, priority: int = 0) -> list[bool]:
    return [
        queue.enqueue_request(Request(f"https://e.org/{name}", priority=priority)) for name in names
    ]


def rest(queue: SpillingScheduler) -> str:
    """What is taken from it until it is empty."""
    taken = []
    while (request := queue.next_request()) is not None:
        taken.append(request.url.removeprefix("https://e.org/"))
    return "".join(taken)


def test_more_than_memory_has_room_for_waits_on_disk(tmp_path: Path) -> None:
    with opened(tmp_path) as queue:
        assert put(queue, *"abcde") == [True] * 5
        assert (len(queue.mqs), len(queue.dqs)) == (ROOM, 2)
        # Behind those on disk, though there is room again.
        assert queue.next_request().url.endswith("/a")
        put(queue, "f")
        assert len(queue.dqs) == 3
        assert rest(queue) == "bcdef"


def test_what_is_urgent_overtakes_those_on_disk(tmp_path: Path) -> None:
    with opened(tmp_path) as queue:
        put(queue, *"abcde")
        queue.next_request()
        put(queue, "u", priority=10)
        assert rest(queue) == "ubcde"


def test_a_request_is_taken_once_wherever_it_waits(tmp_path: Path) -> None:
    with opened(tmp_path) as queue:
        assert put(queue, *"aabcdd") == [True, False, True, True, True, False]
        again = Request("https://e.org/a", dont_filter=True)
        assert queue.enqueue_request(again)
        assert rest(queue) == "abcda"


def test_a_crawl_that_was_told_to_end_leaves_all_of_it_to_a_later_one(tmp_path: Path) -> None:
    with opened(tmp_path, SHUTDOWN) as queue:
        put(queue, *"abcde")
        queue.next_request()
    with opened(tmp_path) as later:
        assert sorted(rest(later)) == ["b", "c", "d", "e"]
        assert put(later, "e") == [False], "what was seen before is known"


def test_a_crawl_that_ends_otherwise_writes_nothing_more(tmp_path: Path) -> None:
    with opened(tmp_path, "budget: crawl.max_pages") as queue:
        put(queue, *"ab")
    with opened(tmp_path) as later:
        assert rest(later) == ""
