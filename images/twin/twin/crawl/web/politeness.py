"""Being a good guest: waiting when a host asks for it, and stopping when the budget is spent."""

import asyncio
import random
import time
from collections import defaultdict
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import urlsplit

import structlog
from scrapy import signals  # noqa: TID253 - base classes below; this module is imported lazily
from scrapy.crawler import Crawler  # noqa: TID253 - as above
from scrapy.downloadermiddlewares import offsite, redirect  # noqa: TID253 - as above
from scrapy.downloadermiddlewares.retry import RetryMiddleware  # noqa: TID253 - as above
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware  # noqa: TID253 - as above
from scrapy.exceptions import IgnoreRequest  # noqa: TID253 - as above
from scrapy.http import Request, Response  # noqa: TID253 - as above
from scrapy.robotstxt import RobotParser  # noqa: TID253 - as above

from twin.crawl.web.crawl_sites import BUDGET
from twin.stores.addresses import RefusedAddressError
from twin.stores.guarded_client import UnknownHostError

#: Settings of a crawler, in seconds and bytes.
BACKOFF_SECONDS = "TWIN_BACKOFF_SECONDS"
MAX_WAIT_SECONDS = "TWIN_MAX_WAIT_SECONDS"
MAX_CRAWL_SECONDS = "TWIN_MAX_CRAWL_SECONDS"
MAX_CRAWL_BYTES = "TWIN_MAX_CRAWL_BYTES"

#: Answers by which a server says that it has too much to do (RFC 6585, RFC 9110).
BUSY_STATUSES = frozenset({429, 503})

#: Of the characters in which Scrapy looks for a redirect, at four bytes each.
_MOST_BYTES_OF_HEAD = 4 * 4096

log = structlog.get_logger("twin.crawl")


class HostPauses:
    """Leaves a host alone that has said it is busy, as long as it asks or by our own backoff.

    Used by the download handler, the last to see a request and the first to see its answer:
    requests that are already on their way when a host gets busy wait there too.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._first = crawler.settings.getfloat(BACKOFF_SECONDS)
        self.longest = crawler.settings.getfloat(MAX_WAIT_SECONDS)
        self._free_at: dict[str, float] = defaultdict(float)

    async def wait(self, url: str) -> None:
        """Wait while the host of this URL is busy."""
        host = urlsplit(url).netloc
        while (left := self._free_at[host] - time.monotonic()) > 0 and _runs(self._crawler):
            await _wait(left, self._crawler)

    def heed(self, request: Request, response: Response) -> None:
        """Note that a host is busy. One that asks for more than we ever wait is not waited for."""
        if response.status not in BUSY_STATUSES:
            return
        asked = retry_after(response)
        if asked is None:
            asked = self.backoff(request)
        if asked <= self.longest:
            host = urlsplit(request.url).netloc
            self._free_at[host] = max(self._free_at[host], time.monotonic() + asked)

    def backoff(self, request: Request) -> float:
        """Seconds before the next try: twice as long each time.

        Jitter keeps requests that failed together apart.
        """
        doubled = self._first * 2.0 ** int(request.meta.get("retry_times", 0))
        return float(min(doubled, self.longest) * random.uniform(0.5, 1.0))  # noqa: S311


class BackoffMiddleware(RetryMiddleware):
    """Retries what may pass, later each time; Scrapy's own retries at once.

    A busy host is waited for as long as ``Retry-After`` asks (RFC 9110, 10.2.3). One that asks
    for more than ``crawl.max_wait_seconds`` is given up for this crawl: its pages fail as worth
    another try.
    """

    pauses: HostPauses

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Made by Scrapy, once a spider."""
        middleware: Self = super().from_crawler(crawler)
        middleware.pauses = crawler.spider.pauses = HostPauses(crawler)
        return middleware

    async def process_response(self, request: Request, response: Response) -> Request | Response:
        """Retry an answer that may be another next time."""
        if response.status in BUSY_STATUSES and self._asks_too_much(response):
            return response
        again: Request | Response = super().process_response(request, response)
        if isinstance(again, Request) and response.status not in BUSY_STATUSES:
            await _wait(self.pauses.backoff(request), self.crawler)
        return again

    def _asks_too_much(self, response: Response) -> bool:
        asked = retry_after(response)
        if asked is None or asked <= self.pauses.longest:
            return False
        log.warning("host asks to be left alone", url=response.url, seconds=round(asked))
        return True

    async def process_exception(self, request: Request, exception: Exception) -> Request | None:
        """Retry a connection that failed, after a pause."""
        again: Request | None = super().process_exception(request, exception)
        if again is not None:
            await _wait(self.pauses.backoff(request), self.crawler)
        return again


def retry_after(response: Response) -> float | None:
    """Seconds that an answer asks to wait; None if it does not say, or not so that it is clear."""
    value = response.headers.get("Retry-After", b"").decode("latin-1").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)


def _runs(crawler: Crawler) -> bool:
    return crawler.engine is not None and crawler.engine.running


async def _wait(seconds: float, crawler: Crawler) -> None:
    """Sleep, but no longer than a second after a signal has ended the crawl."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and _runs(crawler):
        await asyncio.sleep(min(left, 1.0))


class UnknownRobotsError(IgnoreRequest):
    """A site's robots.txt could not be had, so nobody knows what it allows.

    Attributes:
        status: of the answer, if there was one.
        error: else why there was none.
    """

    def __init__(self, status: int | None, error: Exception | None) -> None:
        super().__init__(status, error)
        self.status = status
        self.error = error


class RobotsMiddleware(RobotsTxtMiddleware):
    """Obeys robots.txt, its ``Crawl-delay`` included (which Scrapy parses but does not keep).

    Where it cannot be had because the server or the network is in trouble, nothing is asked for
    (RFC 9309, 2.3.1.4); Scrapy takes an error page for one that allows everything.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._unknown: dict[str, tuple[int | None, Exception | None]] = {}
        self._longest = crawler.settings.getfloat(MAX_WAIT_SECONDS)
        self._next_at: dict[str, float] = defaultdict(float)

    async def process_request(self, request: Request) -> None:
        """Refuse what is forbidden; let the rest through one by one if a delay is asked for."""
        if request.meta.get("dont_obey_robotstxt"):
            return
        rules = await self.robot_parser(request)
        host = urlsplit(request.url).netloc
        if host in self._unknown:
            raise UnknownRobotsError(*self._unknown[host])
        self.process_request_2(rules, request)
        if delay := self._delay(rules):
            await self._take_turn(request, delay)

    async def _take_turn(self, request: Request, delay: float) -> None:
        """Wait until as much time has passed since the request before."""
        host = urlsplit(request.url).netloc
        start = max(self._next_at[host], time.monotonic())
        self._next_at[host] = start + delay
        await _wait(start - time.monotonic(), self.crawler)

    async def _parse_robots(self, response: Response, netloc: str, request: Request) -> None:
        if response.status in BUSY_STATUSES or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._unknown[netloc] = (response.status, None)
        await super()._parse_robots(response, netloc, request)

    def _robots_error(self, exc: Exception, netloc: str) -> None:
        # One that leads astray, or to where we do not go, is none: the site may be read. Of a host
        # that there is not, the pages say so.
        if not isinstance(exc, IgnoreRequest | RefusedAddressError | UnknownHostError):
            self._unknown[netloc] = (None, exc)
        super()._robots_error(exc, netloc)

    def _delay(self, rules: RobotParser | None) -> float:
        """Seconds between two requests. A longer one than we ever wait is cut to that."""
        if rules is None:
            return 0.0
        return float(min(rules.crawl_delay(self._default_useragent) or 0.0, self._longest))


class OffsiteMiddleware(offsite.OffsiteMiddleware):
    """Keeps to the source's hosts, and tells the spider when a redirect left them."""

    def request_scheduled(self, request: Request, spider: Any) -> None:
        """Refuse what is on another host; Scrapy then drops it without a word."""
        try:
            super().request_scheduled(request, spider)
        except IgnoreRequest:
            spider.on_offsite(request)
            raise


class MetaRefreshMiddleware(redirect.MetaRefreshMiddleware):
    """Follows the redirect that a page itself asks for; Scrapy's own decodes every page for it."""

    def process_response(self, request: Request, response: Response) -> Request | Response:
        """Look for the redirect only where the word for it is, in any encoding of ASCII."""
        head = response.body[:_MOST_BYTES_OF_HEAD].replace(b"\0", b"").lower()
        if b"refresh" not in head:
            return response
        result: Request | Response = super().process_response(request, response)
        return result


class Budget:
    """Closes a spider that has fetched as many bytes, or run as long, as the recipe allows.

    Scrapy's CloseSpider extension counts pages and seconds but no bytes. What was fetched is
    stored, and the crawl says that it is incomplete.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._bytes_left = crawler.settings.getint(MAX_CRAWL_BYTES)
        self._seconds = crawler.settings.getfloat(MAX_CRAWL_SECONDS)
        self._clock: asyncio.TimerHandle | None = None

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Made by Scrapy, once a spider."""
        budget = cls(crawler)
        crawler.signals.connect(budget.on_opened, signals.spider_opened)
        crawler.signals.connect(budget.on_bytes, signals.bytes_received)
        crawler.signals.connect(budget.on_closed, signals.spider_closed)
        return budget

    def on_opened(self) -> None:
        """Start the clock."""
        loop = asyncio.get_running_loop()
        self._clock = loop.call_later(self._seconds, self._spent, "crawl.max_seconds")

    def on_bytes(self, data: bytes) -> None:
        """Count what came over the wire, pages that are thrown away included."""
        before = self._bytes_left
        self._bytes_left -= len(data)
        if before > 0 >= self._bytes_left:
            self._spent("crawl.max_bytes")

    def on_closed(self) -> None:
        """Stop the clock."""
        if self._clock is not None:
            self._clock.cancel()

    def _spent(self, limit: str) -> None:
        engine = self._crawler.engine
        if engine is not None:
            self._close = asyncio.ensure_future(
                engine.close_spider_async(reason=f"{BUDGET}{limit}")
            )
