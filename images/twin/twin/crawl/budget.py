"""How much one crawl of a source may take: pages, bytes, seconds.

Web sources are stopped by Scrapy's engine (`twin.crawl.web.politeness`), all others here. What
was taken is stored, what was left out is said, and nothing counts as missed.
"""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from twin.job import Job
from twin.recipes import CrawlSection

Item = TypeVar("Item")


class Budget:
    """The budget of a source that hands over its items one after another.

    Attributes:
        left_out: items beyond ``crawl.max_pages``.
        stopped_by: the limit in bytes or seconds that ended the crawl, by its name in the recipe.
    """

    def __init__(self, limits: CrawlSection) -> None:
        self._pages_left = limits.max_pages
        self._bytes_left = limits.max_bytes
        self._seconds = limits.max_seconds
        self._deadline: float | None = None
        self.left_out = 0
        self.stopped_by: str | None = None

    def spend(self, size: int) -> None:
        """Count bytes that were read, those of what is thrown away included."""
        self._bytes_left -= size

    def is_spent(self) -> bool:
        """Whether bytes or seconds are used up; the clock starts at the first call."""
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._seconds
        if self._bytes_left <= 0:
            self.stopped_by = "crawl.max_bytes"
        elif now >= self._deadline:
            self.stopped_by = "crawl.max_seconds"
        return self.stopped_by is not None

    def allowed(self, items: Iterable[Item]) -> Iterator[Item]:
        """Items that may be taken, of all that the source has."""
        for item in items:
            if self.is_spent():
                return
            if self._pages_left <= 0:
                self.left_out += 1
                continue
            self._pages_left -= 1
            yield item

    @property
    def cuts_short(self) -> bool:
        """Whether anything was left out."""
        return self.stopped_by is not None or self.left_out > 0


def report_limits(job: Job, source: str, left_out: int, stopped_by: str | None) -> None:
    """Say in the job's result which limits of the recipe a crawl of a source has met."""
    if left_out:
        job.result.detail[f"{source}: beyond crawl.max_pages"] = left_out
    if stopped_by:
        job.result.detail[f"{source}: stopped by"] = stopped_by
