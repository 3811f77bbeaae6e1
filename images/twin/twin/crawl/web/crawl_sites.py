"""Web sources: one Scrapy process that crawls them side by side.

A Twisted reactor runs once a process, so `crawl_sites` is called once in a job, with all sources.
"""

import ctypes
import gc
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from twin.crawl.budget import report_limits
from twin.crawl.intake import Intake
from twin.crawl.user_agent import user_agent
from twin.crawl.web.site import HostCopies
from twin.domain.errors import BadConfigurationError, TryAgainError, TwinError
from twin.recipes import CrawlSection, MediumSource, SiteSource, SubstackSource
from twin.settings import Settings
from twin.stores.addresses import AddressGuard

if TYPE_CHECKING:
    from scrapy.crawler import Crawler, CrawlerProcess

    from twin.crawl.web.spider import WebSpider

# They wait, for the warehouse's disk and for the process that reads; none of them parses anything.
THREADS = 48
# A copy is ours: nobody to be polite to.
COPY_CONCURRENCY = 16
#: Python's own is 700, of which a page makes a hundred and leaves few to collect.
OBJECTS_PER_COLLECTION = 5_000
#: Python puts off its full collections while little is new beside what stays; a page's cycles hold
#: its body until then. One takes some 80 ms, as what was there at the start is frozen: 3 % of the
#: time of a crawl that never waits.
FULL_COLLECTION_SECONDS = 2.0
#: Of glibc's `malloc.h`.
M_ARENA_MAX = -8
POLITENESS = "twin.crawl.web.politeness"
#: What the reason of a spider's end starts with if it spent its budget.
BUDGET = "budget: "
# Scrapy's own reasons.
FINISHED = "finished"
SHUTDOWN = "shutdown"
REPORTED_ANYWAY = (
    "scrapy-playwright",
    "asyncio",
    "scrapy.core.downloader.handlers.http11",
    "scrapy.downloadermiddlewares.retry",
    "scrapy.downloadermiddlewares.robotstxt",
    "twisted",
)


def crawl_sites(
    sources: Sequence[tuple[SiteSource, Intake]], limits: CrawlSection, *, only_list: bool = False
) -> None:
    """Crawl web sources until each is exhausted; returns when all are.

    Args:
        sources: each with what takes its pages in.
        limits: of the recipe.
        only_list: read the lists, and say of pages that they would be asked for; for a dry run.

    Raises:
        BadConfigurationError: a source needs a browser, and there is none.
        TryAgainError: a signal ended the crawl early.
        TwinError: the warehouse went away.
    """
    from scrapy.crawler import CrawlerProcess

    for source, intake in sources:
        _check_browser(source, intake.job.settings)
    guards = [_guard(source) for source, _ in sources]
    with _quiet_start():
        process = CrawlerProcess(_process_settings(guards))
    with ThreadPoolExecutor(THREADS, thread_name_prefix="intake") as executor:
        crawls = [
            _SiteCrawl(process, source, limits, intake, guard, executor, only_list=only_list)
            for (source, intake), guard in zip(sources, guards, strict=True)
        ]
        # What is there by now stays: the collector need not look at it again and again, nor wait
        # for the pages' garbage to be as much. Nor need it look at so few pages at a time.
        gc.freeze()
        gc.set_threshold(OBJECTS_PER_COLLECTION)
        _use_one_heap()
        _collect_regularly()
        process.start()
    for site_crawl in crawls:
        site_crawl.check()


def _use_one_heap() -> None:
    """Keep the C library from giving each thread a heap of its own: what the pages leave free in
    one is of no use to the others, and a crawl of many pages holds half as much again."""
    with suppress(AttributeError, OSError):  # another C library than glibc
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def _collect_regularly() -> None:
    """Collect all generations of garbage again and again while the reactor runs."""
    from twisted.internet.task import LoopingCall

    LoopingCall(gc.collect).start(FULL_COLLECTION_SECONDS, now=False)


def _check_browser(source: SiteSource, settings: Settings) -> None:
    """See to it that a source's pages can be read.

    Raises:
        BadConfigurationError: it needs a browser that is not there.
        TryAgainError: the browser that runs apart does not answer.
    """
    if not source.javascript:
        return
    chromium, url = settings.chromium, settings.browser_url
    if find_spec("scrapy_playwright") is None or not (url or chromium.is_file()):
        raise BadConfigurationError(
            f"source {source.name!r} says javascript: true, which needs Chromium at {chromium} "
            "(TWIN_CHROMIUM) and the package's extra `browser`, which the crawl image has not"
        )
    if url:
        from twin.crawl.web.browser_apart import wait_for_browser

        wait_for_browser(url)


class _SiteCrawl:
    """The crawl of one source: its spider's start, end, and what happens in between."""

    def __init__(
        self,
        process: "CrawlerProcess",
        source: SiteSource,
        limits: CrawlSection,
        intake: Intake,
        guard: AddressGuard,
        executor: Executor,
        *,
        only_list: bool,
    ) -> None:
        from scrapy import signals

        self._intake = intake
        self._source = source
        self._end = "not started"
        spider, settings = _spider(source), _source_settings(source, limits)
        if only_list:
            from twin.crawl.web.listing import MIDDLEWARES, listing_of

            spider = listing_of(spider)
            settings["DOWNLOADER_MIDDLEWARES"] |= MIDDLEWARES
        self._crawler: Crawler = process.create_crawler(spider)
        settings["USER_AGENT"] = user_agent(intake.job)
        if source.javascript:
            from twin.crawl.web.browser import browser_settings

            own = intake.job.settings
            settings |= browser_settings(
                own.chromium, own.browser_url, limits.download_timeout_seconds
            )
        self._paused = None
        if intake.workspace is not None:
            self._paused = intake.workspace.paused(intake.rules)
            settings["JOBDIR"] = str(intake.workspace.queue)
        for name, value in settings.items():
            self._crawler.settings.set(name, value, priority="spider")
        for handler, signal in {
            self._on_opened: signals.spider_opened,
            self._on_idle: signals.spider_idle,
            self._on_defect: signals.spider_error,
            self._on_dropped: signals.request_dropped,
            self._on_closed: signals.spider_closed,
        }.items():
            self._crawler.signals.connect(handler, signal, weak=False)
        started = process.crawl(
            self._crawler, source=source, limits=limits, intake=intake, guard=guard,
            executor=executor,
        )  # fmt: skip
        started.addErrback(self._on_defect)

    def _on_opened(self, spider: "WebSpider") -> None:
        if self._paused is not None:
            self._intake.go_on(self._paused["intake"])
            spider.go_on(self._paused["spider"])

    def _on_idle(self, spider: "WebSpider") -> None:
        from scrapy.exceptions import DontCloseSpider

        try:
            requests = spider.on_idle()
        except TwinError as error:
            self._intake.fatal = error
            return
        for request in requests:
            self._crawler.engine.crawl(request)
        if requests:
            raise DontCloseSpider

    def _on_defect(self, failure: Any) -> None:
        self._intake.fatal = self._intake.fatal or failure.value

    def _on_dropped(self, request: Any, spider: "WebSpider") -> None:
        spider.on_dropped(request)

    def _on_closed(self, spider: "WebSpider", reason: str) -> None:
        intake, self._end = self._intake, reason
        intake.absences.complete = reason == FINISHED and spider.lists_all()
        intake.absences.cut_short = reason != FINISHED or spider.left_out > 0
        report_limits(intake.job, self._source.name, spider.left_out, None)
        if intake.workspace is None or intake.fatal is not None:
            return
        if reason == SHUTDOWN:  # by now the queue is on disk
            state = {"intake": intake.state(), "spider": spider.state()}
            intake.workspace.pause(intake.rules, state)
        else:
            intake.workspace.finish()

    def check(self) -> None:
        """Whether it came to its end.

        Raises:
            TryAgainError: a signal ended it early.
            TwinError: the warehouse went away.
        """
        if self._intake.fatal is not None:
            raise self._intake.fatal
        if self._end.startswith(BUDGET):
            report_limits(self._intake.job, self._source.name, 0, self._end.removeprefix(BUDGET))
        elif self._end != FINISHED:
            raise TryAgainError(
                f"source {self._source.name!r}: stopped early ({self._end}); "
                "what was read is stored, run again for the rest"
            )


def _spider(source: SiteSource) -> "type[WebSpider]":
    """The spider of a kind of source: a new kind of web source gets a line here."""
    from twin.crawl.web.medium import MediumSpider
    from twin.crawl.web.spider import WebSpider
    from twin.crawl.web.substack import SubstackSpider

    if isinstance(source, SubstackSource):
        return SubstackSpider
    return MediumSpider if isinstance(source, MediumSource) else WebSpider


def _guard(source: SiteSource) -> AddressGuard:
    return AddressGuard((*source.allow_private, *HostCopies(source.hosts).addresses))


def _process_settings(guards: Sequence[AddressGuard]) -> dict[str, Any]:
    """Settings that one process has once: reactor, threads, name resolution."""
    from urllib.request import getproxies

    from twin.crawl.web.download import ALLOWED_HOSTS
    from twin.stores.addresses import RefusedAddressError, host_and_port

    allowed = {host for guard in guards for host in guard.allowed_hosts}
    for proxy in getproxies().values():  # a proxy set by the operator may well be private
        try:
            allowed.add(host_and_port(proxy)[0])
        except RefusedAddressError:
            continue
    return {
        "TWISTED_DNS_RESOLVER": "twin.crawl.web.download.GuardedResolver",
        ALLOWED_HOSTS: sorted(allowed),
        # No port of a crawl is open to anybody.
        "TELNETCONSOLE_ENABLED": False,
        "REMOTE_CONTROL_ENABLED": False,
        "LOG_INSTALL_ROOT_HANDLER": False,
    }


def _source_settings(source: SiteSource, limits: CrawlSection) -> dict[str, Any]:
    from twin.crawl.web.download_errors import TRANSIENT_STATUSES

    copies = HostCopies(source.hosts).hosts
    handler = "twin.crawl.web.download.GuardedDownloadHandler"
    return {
        "DOWNLOAD_HANDLERS": {"http": handler, "https": handler, "ftp": None, "file": None,
                              "data": None, "s3": None},
        "ROBOTSTXT_OBEY": limits.obey_robots,
        "COOKIES_ENABLED": False,
        "REFERER_ENABLED": False,
        "DOWNLOAD_TIMEOUT": limits.download_timeout_seconds,
        "DOWNLOAD_MAXSIZE": limits.max_page_bytes,
        "DOWNLOAD_WARNSIZE": 0,
        "CONCURRENT_REQUESTS_PER_DOMAIN": limits.concurrency_per_host,
        "DOWNLOADER_MIDDLEWARES": {
            "scrapy.downloadermiddlewares.robotstxt.RobotsTxtMiddleware": None,
            f"{POLITENESS}.RobotsMiddleware": 100,
            "scrapy.downloadermiddlewares.offsite.OffsiteMiddleware": None,
            f"{POLITENESS}.OffsiteMiddleware": 50,
            "scrapy.downloadermiddlewares.retry.RetryMiddleware": None,
            "scrapy.downloadermiddlewares.redirect.MetaRefreshMiddleware": None,
            f"{POLITENESS}.MetaRefreshMiddleware": 580,
            "scrapy.downloadermiddlewares.stats.DownloaderStats": None,
            f"{POLITENESS}.BackoffMiddleware": 550,
        },
        # None of Scrapy's own: even those that are off are imported, a quarter of a second of them.
        "EXTENSIONS_BASE": {},
        "EXTENSIONS": {f"{POLITENESS}.Budget": 0, "twin.crawl.web.throttle.Throttle": 0},
        "RETRY_TIMES": limits.retries,
        "RETRY_HTTP_CODES": sorted(TRANSIENT_STATUSES),
        "TWIN_BACKOFF_SECONDS": limits.backoff_seconds,
        "TWIN_MAX_WAIT_SECONDS": limits.max_wait_seconds,
        "TWIN_MAX_CRAWL_SECONDS": limits.max_seconds,
        "TWIN_MAX_CRAWL_BYTES": limits.max_bytes,
        "AUTOTHROTTLE_ENABLED": True,
        "AUTOTHROTTLE_START_DELAY": limits.delay_seconds,
        "AUTOTHROTTLE_TARGET_CONCURRENCY": limits.concurrency_per_host,
        "DOWNLOAD_DELAY": 0,
        "DOWNLOAD_SLOTS": {
            host: {"delay": 0, "concurrency": COPY_CONCURRENCY, "throttle": False}
            for host in copies
        },
        # In the order of the sitemap or page, near pages before far ones.
        "DEPTH_PRIORITY": 1,
        # Scrapy starts so many tasks a page for its items, of which ours have none.
        "CONCURRENT_ITEMS": 1,
        # Pages that wait for the reader take ten times their bytes: what comes in faster than it
        # is read is asked for later.
        "SCRAPER_SLOT_MAX_ACTIVE_SIZE": 1_000_000,
        "STATS_CLASS": "scrapy.statscollectors.DummyStatsCollector",
        "SCHEDULER": "twin.crawl.web.scheduler.SpillingScheduler",
        "SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue",
        "SCHEDULER_DISK_QUEUE": "scrapy.squeues.PickleFifoDiskQueue",
    }  # fmt: skip


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Keep Scrapy's greeting off, and afterwards what the intake reports with its reason."""
    scrapy = logging.getLogger("scrapy")
    silence = logging.NullHandler()
    scrapy.addHandler(silence)
    scrapy.propagate = False
    try:
        yield
    finally:
        scrapy.propagate = True
        scrapy.removeHandler(silence)
        scrapy.setLevel(logging.ERROR)  # its own defects stay visible
        for name in REPORTED_ANYWAY:
            logging.getLogger(name).setLevel(logging.CRITICAL)
