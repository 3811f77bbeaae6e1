"""The spider of web sources: entries (start pages, sitemaps, feeds), pages, and links."""

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from functools import partial
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import scrapy  # noqa: TID253 - base class of the spider; this module is imported lazily
from scrapy.crawler import Crawler  # noqa: TID253 - as above
from scrapy.exceptions import CloseSpider, IgnoreRequest  # noqa: TID253 - as above
from scrapy.http import HtmlResponse, Response, XmlResponse  # noqa: TID253 - as above
from scrapy.linkextractors import LinkExtractor  # noqa: TID253 - as above
from scrapy.spidermiddlewares.httperror import HttpError  # noqa: TID253 - as above
from scrapy.utils.gz import gunzip, gzip_magic_number  # noqa: TID253 - as above
from scrapy.utils.sitemap import Sitemap  # noqa: TID253 - as above

from twin.crawl.absences import Absence
from twin.crawl.formats import feed
from twin.crawl.intake import Intake
from twin.crawl.page import HTML_TYPES, MARKDOWN_TYPES, Exchange, Page, UnusableError
from twin.crawl.steps import Steps, at_once
from twin.crawl.tally import Outcome
from twin.crawl.web.batches import Batches
from twin.crawl.web.dead_links import STATUSES
from twin.crawl.web.pagination import Traps, next_page, shape
from twin.crawl.web.parts import Parts, encoding_of
from twin.crawl.web.politeness import UnknownRobotsError
from twin.crawl.web.reservations import Reservations
from twin.crawl.web.site import Site
from twin.crawl.web.urls import is_on, page_key, page_number, same_page
from twin.domain.errors import BadDataError, TryAgainError, TwinError
from twin.recipes import CrawlSection, WebSource
from twin.stores.addresses import AddressGuard, RefusedAddressError
from twin.stores.guarded_client import UnknownHostError

# Answers that may be different next time (RFC 9110; 429 is RFC 6585).
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
REASONS = {
    "DownloadConnectionRefusedError": "connection refused",
    "CannotResolveHostError": "its host name cannot be looked up for now",
    "DownloadTimeoutError": "no answer in time (crawl.download_timeout_seconds)",
    "ResponseDataLossError": "connection broke before the end",
    "DownloadCancelledError": "larger than crawl.max_page_bytes",
    "DownloadFailedError": "connection failed",
}
#: Meta key of requests whose pages are read with a browser, if the source says so.
IN_BROWSER = "in_browser"
_SIGN_IN = re.compile(r"/(authwall|login|uas/login|checkpoint/)")
LARGEST_WALL_BYTES = 10_000
NO_SITEMAP = "is no sitemap"
LEADS_AWAY = "leads to another host"
PERMANENT_FAILURES = frozenset({"DownloadCancelledError", "UnsupportedURLSchemeError"})
# What Scrapy's middlewares say when they drop a request.
OFF_LIMITS = ("Forbidden by robots.txt", "Filtered offsite request")

Requests = Iterator[scrapy.Request]
Result = TypeVar("Result")


class WebSpider(scrapy.Spider):
    """Fetches the pages of one web source and hands them to its intake.

    Extraction and storing run in ``executor``, so that the event loop goes on downloading;
    Scrapy stops fetching while too many pages wait for it.
    """

    name = "web"
    #: Whether a document that nothing led to can be asked for by its page.
    asks_one_by_one = True
    _reservations: Reservations
    _parts: Parts

    def __init__(
        self,
        source: WebSource,
        limits: CrawlSection,
        intake: Intake,
        guard: AddressGuard,
        executor: Executor,
    ) -> None:
        super().__init__(name=source.name)
        self.source = source
        self.site = Site(source)
        # For Scrapy's offsite middleware, which also sees redirects.
        self.allowed_domains = self.site.host_names
        self.guard = guard
        self.intake = intake
        self._executor = executor
        self._batches = Batches(intake.taken_now, executor, self._is_downloading)
        self._max_pages = limits.max_pages
        self._max_bytes = limits.max_page_bytes
        self._requested: set[int] = set()
        self._archives: set[str] = set()
        self._traps = Traps()
        self._passed_by_trap = False
        self._lost_list = False
        self._feed_pages: set[str] = set()
        self._feeds_left = len(source.feeds)
        self._feeds_read = asyncio.Event()
        self._sitemaps: set[str] = set()
        self.left_out = 0
        self._asked_again = False
        self._links = LinkExtractor(canonicalize=False, unique=True)

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        """Made by Scrapy."""
        spider: Self = super().from_crawler(crawler, *args, **kwargs)
        spider._reservations = Reservations(crawler)
        meta = {IN_BROWSER: spider.source.javascript}
        spider._parts = Parts(crawler, spider.site, spider._max_bytes, meta)
        return spider

    def _is_downloading(self) -> bool:
        engine = self.crawler.engine
        return self.intake.fatal is None and engine is not None and bool(engine.downloader.active)

    async def start(self) -> AsyncIterator[scrapy.Request]:
        """The entries of the source. Feeds that have the texts come first and are waited for, so
        that it is not by chance that an article is read from its feed or from its page."""
        for url in self.source.feeds:
            yield self._entry(url, self.on_feed, self.on_feed_failure)
        if self.source.feeds and self.source.feeds_have_full_text is True:
            await self._feeds_read.wait()
        for url in self.source.sitemaps:
            self._sitemaps.add(self.site.canonical(url))
            yield self._entry(url, self.on_sitemap)
        for url in self.source.archives:
            request = self._entry(url, self.on_archive)
            request.meta[IN_BROWSER] = self.source.javascript
            yield request
        for url in self.source.start_urls:
            self._requested.add(page_number(self.site.canonical(url)))
            yield self._entry(url, self.on_page)

    def _entry(
        self, url: str, callback: Callable[..., Any], errback: Callable[..., Any] | None = None
    ) -> scrapy.Request:
        name = self.site.canonical(url)
        request = self._page_request(name) if callback == self.on_page else scrapy.Request(name)
        return request.replace(
            callback=callback, errback=errback or self.on_failure,
            dont_filter=True, priority=10, meta={**request.meta, "entry": True},
        )  # fmt: skip

    def _page_request(self, url: str, chain: int = 0) -> scrapy.Request:
        """Ask for a page, only for news of it if we know it."""
        conditions = {}
        if not self.source.javascript:  # what its scripts show may change where it does not
            conditions = self.intake.conditions(url, links=self.source.follow_links)
        meta: dict[str, Any] = {IN_BROWSER: self.source.javascript, "chain": chain}
        if conditions:
            meta["handle_httpstatus_list"] = [304]
        return scrapy.Request(
            url, self.on_page, errback=self.on_failure, headers=conditions, meta=meta
        )  # fmt: skip

    # Entries

    def on_sitemap(self, response: Response) -> Requests:
        """Pages of a sitemap, or the sitemaps of an index (sitemaps.org protocol)."""
        try:
            sitemap = read_sitemap(response, self._max_bytes)
        except UnusableError as error:
            self._failed(response.request, str(error), False)
            return
        urls = (entry["loc"] for entry in sitemap if entry.get("loc"))
        if sitemap.type == "urlset":
            yield from self._pages(urls, response, listed=True)
        else:
            yield from self._nested(urls, response)

    def _nested(self, urls: Iterator[str], response: Response) -> Requests:
        """Requests for the sitemaps of an index: like a page, each may fail on its own."""
        for url in urls:
            name = self._name(url, response)
            if name is None or name in self._sitemaps or not self.site.is_ours(name):
                continue
            if len(self._sitemaps) >= self._max_pages:
                self.left_out += 1
                continue
            self._sitemaps.add(name)
            yield scrapy.Request(name, self.on_sitemap, errback=self.on_failure, priority=10)

    async def on_feed(self, response: Response) -> AsyncIterator[scrapy.Request]:
        """Articles of an RSS or Atom feed, or the pages of those that it only announces; and the
        feed's next page."""
        try:
            if request := self._older(response):
                yield request
            for item in feed.feed_items(response.body):
                name = self._name(item.link or "", response) if item.link else None
                if name is None:
                    continue
                if self._is_article(item, name):
                    reserved = await self._reservations.of(response, name)
                    await self._take_item(item, name, reserved)
                    continue
                for request in self._pages([name], response, listed=True):
                    yield request
        except feed.NoFeedError as error:
            self._entry_failed(response.url, str(error))
        finally:
            self._feed_is_read()

    def _older(self, response: Response) -> scrapy.Request | None:
        """A request for the page of a feed that has older items, if that was not asked for."""
        link = feed.next_page_of(response.body)
        name = self._name(link, response) if link else None
        self._feed_pages.add(self.site.canonical(response.url))
        if name is None or name in self._feed_pages or not self.site.is_ours(name):
            return None
        if len(self._feed_pages) >= self._max_pages:
            self.left_out += 1
            return None
        self._feed_pages.add(name)
        self._feeds_left += 1
        return scrapy.Request(
            name, self.on_feed, errback=self.on_feed_failure, dont_filter=True, priority=10
        )

    async def on_feed_failure(self, failure: Any) -> None:
        """A feed that could not be had."""
        try:
            await self.on_failure(failure)
        finally:
            self._feed_is_read()

    def _feed_is_read(self) -> None:
        self._feeds_left -= 1
        if self._feeds_left <= 0:
            self._feeds_read.set()

    def _is_article(self, item: feed.FeedItem, name: str) -> bool:
        """Whether an item is to be read from the feed itself."""
        said = self.source.feeds_have_full_text
        others = (*self.source.sitemaps, *self.source.archives, *self.source.start_urls)
        if said is False or (said == "auto" and others) or not self._is_in_reach(name):
            return False
        return item.is_whole(name, trusted=said is True)

    def _is_in_reach(self, name: str) -> bool:
        """Whether an item's page may be a document of ours: a link elsewhere is no text of it."""
        return self.site.may_fetch(name) and self.site.may_be_document(name)

    async def _take_item(self, item: feed.FeedItem, name: str, reserved: tuple[str, ...]) -> None:
        if not self._is_new(name):
            return
        await self._take(Page(
            url=name, body=item.body, media_type=feed.MEDIA_TYPE,
            expected=self.site.is_expected(name), reserved=reserved,
        ))  # fmt: skip

    def on_archive(self, response: Response) -> Requests:
        """Articles of a list of them, and its next page if there were any we had not met in it."""
        if not isinstance(response, HtmlResponse):
            self._failed(response.request, "is no HTML page", False)
            return
        links = [link.url for link in self._links.extract_links(response)]
        follow = next_page(response, links)
        names = {self._name(url, response) for url in links}
        key = page_key(self.site.canonical(response.url))
        seen: set[str] = response.meta.get("articles", set())
        articles = {
            name
            for name in names
            if name and self.site.may_fetch(name) and self.site.may_be_document(name)
        }
        fresh = {page_key(name) for name in articles} - seen - {key}
        yield from self._pages(
            (url for url in links if self._name(url, response) in articles and url != follow),
            response,
            listed=True,
        )
        name = self._name(follow, response) if follow else None
        if not fresh or name is None or not self.site.is_ours(name):
            return
        if page_key(name) in self._archives:
            return
        self._archives.add(page_key(name))
        if len(self._archives) > self._max_pages:
            self.left_out += 1
            return
        yield scrapy.Request(
            name, self.on_archive, errback=self.on_failure, priority=10, dont_filter=True,
            meta={"articles": seen | fresh, IN_BROWSER: self.source.javascript},
        )  # fmt: skip

    def _pages(self, urls: Any, response: Response | None, *, listed: bool = False) -> Requests:
        """Requests for pages not asked for yet, of those that this source may fetch.

        Args:
            urls: as a page has them.
            response: that page; None if they are absolute.
            listed: by a list of the site's pages: not to have one of them is a failure.
        """
        for url in urls:
            name = self._name(url, response)
            if name is None or not self._is_wanted(name):
                continue
            if listed and (status := self.intake.dead_links.list(name)):
                self.intake.fail(name, f"answered {status}", status=status)
            chain = 0
            if response and shape(name) == shape(self.site.canonical(response.url)):
                chain = response.meta.get("chain", 0) + 1
            if self._is_new(name, chain):
                yield self._page_request(name, chain)

    def _is_new(self, name: str, chain: int = 0) -> bool:
        """Whether a page was not asked for yet, by any of its names, and one more is allowed."""
        key = page_number(name)
        if key in self._requested:
            return False
        if not self._traps.allows(name, chain):
            self._passed_by_trap = True
            return False
        self._requested.add(key)
        if len(self._requested) > self._max_pages:
            self.left_out += 1
            return False
        return True

    def _name(self, url: str, response: Response | None) -> str | None:
        """The canonical name of what a page calls ``url``; None if no browser could follow it."""
        try:
            return self.site.canonical(response.urljoin(url.strip()) if response else url)
        except ValueError:
            return None

    def _is_wanted(self, url: str) -> bool:
        # Without following links, a page that is no document is of no use.
        useful = self.source.follow_links or self.site.may_be_document(url)
        return useful and self.site.may_fetch(url)

    # Pages

    async def on_page(self, response: Response) -> AsyncIterator[scrapy.Request]:
        """Links first, so that downloads go on; then the page itself."""
        url = self.site.canonical(response.url)
        if not self.site.is_ours(url):
            self._failed(response.request, LEADS_AWAY, False)
            return
        if asks_to_sign_in(url, response.body):
            self._failed(response.request, "asks to sign in instead of showing the page", False)
            return
        self._requested.add(page_number(url))
        self._note_hops(url, response.request)
        answer = self._on_unchanged if response.status == 304 else self._on_full_page
        async for request in answer(url, response):
            yield request

    def _note_hops(self, url: str, request: Any) -> None:
        """Pages that lead elsewhere are no longer what they may have been."""
        for hop in request.meta.get("redirect_urls", ()):
            name = self.site.canonical(hop)
            if not same_page(name, url):
                self.intake.absences.note(name, Absence.MISSING)

    async def _on_full_page(self, url: str, response: Response) -> AsyncIterator[scrapy.Request]:
        links = self._linked(response)
        leads_on = False
        for request in self._pages(links or (), response):
            leads_on = leads_on or shape(request.url) != shape(url)
            yield request
        if leads_on:
            self._traps.note(url, fruitful=True)
        page = await self._page(url, response, links)
        if self.site.may_be_document(url) and isinstance(response, HtmlResponse):
            page = await self._parts.with_others(page, response)
        if not self.site.may_be_document(url) or isinstance(response, XmlResponse):
            self._traps.note(url, fruitful=leads_on)
            await self._taken(self.intake.passing_by(page, "not included"))
            return
        outcome, where = await self._take(page)
        self._traps.note(url, fruitful=leads_on or outcome is not Outcome.SKIPPED)
        if outcome is Outcome.ELSEWHERE:
            if self.intake.claims.is_held(url) and not self.site.may_fetch(where):
                self.intake.believe(url)  # the recipe does not want this page by any name
            for request in self._pages([where], response):
                yield request

    async def _on_unchanged(self, url: str, response: Response) -> AsyncIterator[scrapy.Request]:
        """A page that is as it was: it leads where it led."""
        result = None
        leads_on = False
        # After a redirect it is another page's validators that this one was asked by; and a
        # reservation that is new came with the headers, not with the page.
        is_redirected = "redirect_urls" in response.request.meta
        if not is_redirected and not await self._reservations.of(response):
            if self.source.follow_links:
                links = await self._taken(at_once(partial(self.intake.pages.links, url)))
                for request in self._pages(links, response):
                    leads_on = leads_on or shape(request.url) != shape(url)
                    yield request
            result = await self._taken(self.intake.confirming(url, _exchange(response)))
        if result is None:
            kept = ("entry", "chain", IN_BROWSER)
            yield scrapy.Request(
                response.url, self.on_page, errback=self.on_failure, dont_filter=True,
                meta={key: response.request.meta[key] for key in kept
                      if key in response.request.meta},
            )  # fmt: skip
            return
        self._traps.note(url, fruitful=leads_on or result[0] is not Outcome.SKIPPED)
        if result[0] is Outcome.ELSEWHERE:
            for request in self._pages([result[1]], response):
                yield request

    def _linked(self, response: Response) -> tuple[str, ...] | None:
        """Pages of this site that a page leads to, wanted now or not; None if we do not follow."""
        if not self.source.follow_links or not isinstance(response, HtmlResponse):
            return None
        links = (self._name(link.url, response) for link in self._links.extract_links(response))
        return tuple(dict.fromkeys(link for link in links if link and self.site.is_ours(link)))

    def _alone(self, url: str) -> scrapy.Request:
        """Ask once more for a page that is not what it calls its canonical page."""
        request = self._page_request(url)
        return request.replace(dont_filter=True, meta={**request.meta, "stands_alone": True})

    # Documents that nothing led to

    def lists_all(self) -> bool:
        """Whether the entries have led to every page that the source has, as far as we can tell."""
        # A page that could not be had may have led to others.
        lost = self.source.follow_links and self.intake.failures.transient
        errors = self.intake.entry_errors
        passed_by = self.left_out or self._passed_by_trap or self._lost_list
        return bool(self._should_list_all() and not passed_by and not lost and not errors)

    def _should_list_all(self) -> bool:
        if self.source.complete is None:
            return bool(self.source.sitemaps)
        return self.source.complete

    def on_idle(self) -> list[scrapy.Request]:
        """Requests for known documents that nothing led to: once, when all else is done."""
        if self.intake.fatal is not None:
            return []
        if misled := self.intake.misled():
            return [self._alone(url) for url in misled]
        if self._asked_again:
            return []
        self._asked_again = True
        requests: list[scrapy.Request] = []
        complete = self.lists_all()
        # What such a listing has dropped is gone though it may still answer: it is not asked.
        for url in self.intake.unreached(gone=not self._should_list_all()):
            if not self._is_wanted(url):
                self.intake.absences.note(url, Absence.MISSING)
            elif self.asks_one_by_one and not complete and not self._is_from_a_list(url):
                requests += self._pages([url], None)
        return requests

    def _is_from_a_list(self, url: str) -> bool:
        """Whether a document was read from a feed or an API: its page is another text."""
        known = self.intake.pages.get(url)
        if known is None:
            return self.source.feeds_have_full_text is True
        return known.status is None and known.outcome != Outcome.FAILED

    def state(self) -> dict[str, Any]:
        """What must be known to go on after a pause, as JSON values."""
        return {
            "requested": sorted(self._requested), "sitemaps": sorted(self._sitemaps),
            "archives": sorted(self._archives), "feed_pages": sorted(self._feed_pages),
            "passed_by_trap": self._passed_by_trap,
            "lost_list": self._lost_list,
            "left_out": self.left_out, "asked_again": self._asked_again,
        }  # fmt: skip

    def go_on(self, state: dict[str, Any]) -> None:
        """Take over what the spider knew before a pause."""
        self._requested.update(state["requested"])
        self._sitemaps.update(state["sitemaps"])
        self._archives.update(state["archives"])
        self._feed_pages.update(state["feed_pages"])
        self._passed_by_trap = state["passed_by_trap"]
        self._lost_list = state["lost_list"]
        self.left_out = state["left_out"]
        self._asked_again = state["asked_again"]

    async def _page(self, url: str, response: Response, links: tuple[str, ...] | None) -> Page:
        header = response.headers.get("Content-Type", b"").decode("latin-1")
        media_type = header.partition(";")[0].strip().lower()
        if media_type not in HTML_TYPES | MARKDOWN_TYPES and isinstance(response, HtmlResponse):
            media_type = "text/html"
        return Page(
            url=url,
            body=response.body,
            media_type=media_type,
            encoding=encoding_of(response),
            expected=self.site.is_expected(url),
            has_siblings=True,
            stands_alone=bool(response.meta.get("stands_alone")),
            exchange=_exchange(response),
            links=links,
            reserved=await self._reservations.of(response),
        )

    async def _take(self, page: Page) -> tuple[Outcome, str]:
        return await self._taken(self.intake.taking(page), len(page.body))

    async def _taken(self, taking: Steps[Result], size: int = 0) -> Result:
        """What comes of a page, which may wait for the warehouse and a reader, with others."""
        try:
            result: Result = await self._batches.call(taking, size)
        except BaseException as error:
            self.intake.fatal = self.intake.fatal or error
            raise CloseSpider("fatal") from None
        return result

    # Failures

    async def on_failure(self, failure: Any) -> None:
        """A request that ended without a page."""
        self._note_lost_list(failure.request)
        if _is_off_limits(failure.value) and not failure.request.meta.get("entry"):
            self.intake.absences.note(failure.request.url, Absence.UNKNOWN)
            self.intake.skip(str(failure.value))
            return
        reason, transient = explain(failure.value)
        status = failure.value.response.status if isinstance(failure.value, HttpError) else None
        if status in STATUSES and self._is_only_mentioned(failure.request):
            self.intake.dead_links.found[self._asked(failure.request)] = status
            return
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(
            self._executor, self._failed, failure.request, reason, transient, status
        )

    def _is_only_mentioned(self, request: Any) -> bool:
        """Whether nothing but a link on some page says that there is such a page."""
        name = self._asked(request)
        return (
            request.callback == self.on_page
            and not request.meta.get("entry")
            and not request.meta.get("listed")
            and not self.site.is_expected(name)
            and not self.intake.dead_links.is_listed(name)
            and not self.intake.has_had(name)
        )

    def _asked(self, request: Any) -> str:
        """The page that was asked for first, before any redirect."""
        return self.site.canonical(request.meta.get("redirect_urls", [request.url])[0])

    def on_dropped(self, request: scrapy.Request) -> None:
        """A request that was made before: rightly dropped, unless it goes round in a circle."""
        if request.url in request.meta.get("redirect_urls", ()):
            self.intake.fail(request.meta["redirect_urls"][0], "redirects in a circle")
        else:
            self._note_hops(self.site.canonical(request.url), request)

    def on_offsite(self, request: scrapy.Request) -> None:
        """A redirect to another host, where we do not follow."""
        hops = request.meta.get("redirect_urls")
        if not hops:
            return
        page = self.site.canonical(hops[0])
        self.intake.absences.note(page, Absence.MISSING)
        if request.callback == self.on_page and not self.site.is_expected(page):
            self.intake.skip(LEADS_AWAY)
        else:
            self._failed(request, LEADS_AWAY, False)

    def _note_lost_list(self, request: Any) -> None:
        """A list that could not be had may have led to any page."""
        if request.callback in {self.on_sitemap, self.on_archive, self.on_feed}:
            self._lost_list = True

    def _failed(
        self, request: Any, reason: str, transient: bool, status: int | None = None
    ) -> None:
        self._note_lost_list(request)
        url = request.meta.get("public_url", request.url)
        if hops := request.meta.get("redirect_urls"):
            url, reason = hops[0], f"{reason} (after a redirect to {url})"
        if request.meta.get("entry"):
            self._entry_failed(url, reason, transient)
            return
        try:
            self.intake.fail(url, reason, transient=transient, status=status)
        except TwinError:
            raise CloseSpider("fatal") from None

    def _entry_failed(self, url: str, reason: str, transient: bool = False) -> None:
        message = f"source {self.source.name!r}: {url} {reason}"
        fetched = self.site.copies.fetch_url(url)
        if fetched != url:
            message += f" (fetched from {fetched})"
        kind = TryAgainError if transient else BadDataError
        self.intake.entry_errors.append(kind(message))


def read_sitemap(response: Response, max_bytes: int) -> Sitemap:
    """A sitemap or an index of sitemaps, packed or not.

    Raises:
        UnusableError: it is something else, or unpacks to more than ``max_bytes``.
    """
    body = response.body
    try:
        if gzip_magic_number(response):
            body = gunzip(body, max_size=max_bytes)
    except ValueError:
        raise UnusableError(REASONS["DownloadCancelledError"]) from None
    except (OSError, EOFError, zlib.error):
        raise UnusableError(NO_SITEMAP) from None
    try:
        sitemap = Sitemap(body)
    except (ValueError, StopIteration, SyntaxError):
        raise UnusableError(NO_SITEMAP) from None
    if sitemap.type not in {"urlset", "sitemapindex"}:
        raise UnusableError(NO_SITEMAP)
    return sitemap


def asks_to_sign_in(url: str, body: bytes) -> bool:
    """Whether this is LinkedIn's wall in front of a page."""
    parts = urlsplit(url)
    if not is_on(parts.hostname or "", "linkedin.com"):
        return False
    return bool(_SIGN_IN.match(parts.path)) or (
        len(body) < LARGEST_WALL_BYTES and b"/authwall?" in body
    )


def _is_off_limits(error: BaseException) -> bool:
    """Whether robots.txt or a redirect off the site kept us from a page: no failure of it."""
    return isinstance(error, IgnoreRequest) and str(error).startswith(OFF_LIMITS)


def explain(error: BaseException) -> tuple[str, bool]:
    """Why a request ended without a page, and whether that may pass."""
    if isinstance(error, HttpError):
        status = error.response.status
        return f"answered {status}", status in TRANSIENT_STATUSES
    if isinstance(error, RefusedAddressError | UnknownHostError):
        return f"was not fetched: {error}", False
    if isinstance(error, UnknownRobotsError):
        why = f"answered {error.status}" if error.error is None else explain(error.error)[0]
        return f"was not fetched: its site's robots.txt: {why}", True
    name = type(error).__name__
    if isinstance(error, IgnoreRequest):
        if "exceeded DOWNLOAD_MAXSIZE" in str(error):  # while it was decompressed
            return REASONS["DownloadCancelledError"], False
        return f"was not fetched: {_line(error)}", False
    reason = REASONS.get(name, f"failed: {_line(error)}")
    return reason, name not in PERMANENT_FAILURES


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _exchange(response: Response) -> Exchange:
    """The headers of both sides."""
    return Exchange(
        response.status,
        _headers(response.request.headers) if response.request else (),
        _headers(response.headers),
    )


def _headers(headers: Any) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, values in headers.items()
        for value in values
    )
