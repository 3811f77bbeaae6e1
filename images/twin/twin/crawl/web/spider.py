"""The spider of web sources: entries (start pages, sitemaps, feeds), pages, and links."""

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from typing import Any, Self
from urllib.parse import urlsplit

import scrapy  # noqa: TID253 - base class of the spider; this module is imported lazily
from scrapy.crawler import Crawler  # noqa: TID253 - as above
from scrapy.exceptions import CloseSpider, IgnoreRequest  # noqa: TID253 - as above
from scrapy.http import HtmlResponse, Response, XmlResponse  # noqa: TID253 - as above
from scrapy.linkextractors import LinkExtractor  # noqa: TID253 - as above
from scrapy.spidermiddlewares.httperror import HttpError  # noqa: TID253 - as above
from scrapy.utils.gz import gunzip, gzip_magic_number  # noqa: TID253 - as above
from scrapy.utils.sitemap import Sitemap  # noqa: TID253 - as above
from w3lib.encoding import html_body_declared_encoding, http_content_type_encoding, read_bom

from twin.crawl.formats import feed
from twin.crawl.intake import Intake, Outcome
from twin.crawl.page import HTML_TYPES, MARKDOWN_TYPES, Page, UnusableError
from twin.crawl.web.addresses import AddressGuard, RefusedAddressError
from twin.crawl.web.pagination import Traps, next_page, shape
from twin.crawl.web.reservations import Reservations
from twin.crawl.web.site import Site
from twin.crawl.web.urls import is_on, page_key
from twin.domain.errors import BadDataError, TryAgainError, TwinError
from twin.recipes import CrawlSection, WebSource

# Answers that may be different next time (RFC 9110; 429 is RFC 6585).
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
REASONS = {
    "DownloadConnectionRefusedError": "connection refused",
    "CannotResolveHostError": "host name not found",
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
PERMANENT_FAILURES = frozenset({"DownloadCancelledError", "UnsupportedURLSchemeError"})
# What Scrapy's middlewares say when they drop a request.
OFF_LIMITS = ("Forbidden by robots.txt", "Filtered offsite request")

Requests = Iterator[scrapy.Request]


class WebSpider(scrapy.Spider):
    """Fetches the pages of one web source and hands them to its intake.

    Extraction and storing run in ``executor``, so that the event loop goes on downloading;
    Scrapy stops fetching while too many pages wait for it.
    """

    name = "web"
    _reservations: Reservations

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
        self._max_pages = limits.max_pages
        self._max_bytes = limits.max_page_bytes
        self._requested: set[str] = set()
        self._archives: set[str] = set()
        self._traps = Traps()
        self._feeds_left = len(source.feeds)
        self._feeds_read = asyncio.Event()
        self._sitemaps: set[str] = set()
        self.left_out = 0
        self._links = LinkExtractor(canonicalize=False, unique=True)

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        """Made by Scrapy."""
        spider: Self = super().from_crawler(crawler, *args, **kwargs)
        spider._reservations = Reservations(crawler)
        return spider

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
            self._requested.add(page_key(self.site.canonical(url)))
            request = self._entry(url, self.on_page)
            request.meta[IN_BROWSER] = self.source.javascript
            yield request

    def _entry(
        self, url: str, callback: Callable[..., Any], errback: Callable[..., Any] | None = None
    ) -> scrapy.Request:
        return scrapy.Request(
            self.site.canonical(url), callback, errback=errback or self.on_failure,
            dont_filter=True, priority=10, meta={"entry": True},
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
            yield from self._pages(urls, response)
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
        """Articles of an RSS or Atom feed, or the pages of those that it only announces."""
        try:
            for item in feed.feed_items(response.body):
                name = self._name(item.link or "", response) if item.link else None
                if name is None:
                    continue
                if self._is_article(item, name):
                    await self._take_item(item, name, await self._reservations.of(response))
                    continue
                for request in self._pages([name], response):
                    yield request
        except feed.NoFeedError as error:
            self._entry_failed(response.url, str(error))
        finally:
            self._feed_is_read()

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

    def _pages(self, urls: Any, response: Response) -> Requests:
        """Requests for pages not asked for yet, of those that this source may fetch."""
        for url in urls:
            name = self._name(url, response)
            if name is None or not self._is_wanted(name):
                continue
            same = shape(name) == shape(self.site.canonical(response.url))
            chain = response.meta.get("chain", 0) + 1 if same else 0
            if self._is_new(name, chain):
                yield scrapy.Request(
                    name, self.on_page, errback=self.on_failure,
                    meta={IN_BROWSER: self.source.javascript, "chain": chain},
                )  # fmt: skip

    def _is_new(self, name: str, chain: int = 0) -> bool:
        """Whether a page was not asked for yet, by any of its names, and one more is allowed."""
        key = page_key(name)
        if key in self._requested or not self._traps.allows(name, chain):
            return False
        self._requested.add(key)
        if len(self._requested) > self._max_pages:
            self.left_out += 1
            return False
        return True

    def _name(self, url: str, response: Response) -> str | None:
        """The canonical name of what a page calls ``url``; None if no browser could follow it."""
        try:
            return self.site.canonical(response.urljoin(url.strip()))
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
            self._failed(response.request, "leads to another host", False)
            return
        if asks_to_sign_in(url, response.body):
            self._failed(response.request, "asks to sign in instead of showing the page", False)
            return
        self._requested.add(page_key(url))
        leads_on = False
        for request in self._linked(response):
            leads_on = leads_on or shape(request.url) != shape(url)
            yield request
        if leads_on:
            self._traps.note(url, fruitful=True)
        if not self.site.may_be_document(url) or isinstance(response, XmlResponse):
            self._traps.note(url, fruitful=leads_on)
            self.intake.skip("not included")
            return
        outcome, where = await self._take(await self._page(url, response))
        self._traps.note(url, fruitful=leads_on or outcome is not Outcome.SKIPPED)
        if outcome is Outcome.ELSEWHERE:
            for request in self._pages([where], response):
                yield request

    def _linked(self, response: Response) -> Requests:
        if self.source.follow_links and isinstance(response, HtmlResponse):
            yield from self._pages(
                (link.url for link in self._links.extract_links(response)), response
            )

    async def _page(self, url: str, response: Response) -> Page:
        header = response.headers.get("Content-Type", b"").decode("latin-1")
        media_type = header.partition(";")[0].strip().lower()
        if media_type not in HTML_TYPES | MARKDOWN_TYPES and isinstance(response, HtmlResponse):
            media_type = "text/html"
        return Page(
            url=url,
            body=response.body,
            media_type=media_type,
            encoding=_encoding(response),
            expected=self.site.is_expected(url),
            has_siblings=True,
            reserved=await self._reservations.of(response),
        )

    async def _take(self, page: Page) -> tuple[Outcome, str]:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._executor, self.intake.take, page)
        except BaseException as error:
            self.intake.fatal = self.intake.fatal or error
            raise CloseSpider("fatal") from None

    # Failures

    async def on_failure(self, failure: Any) -> None:
        """A request that ended without a page."""
        if _is_off_limits(failure.value) and not failure.request.meta.get("entry"):
            self.intake.skip(str(failure.value))
            return
        reason, transient = explain(failure.value)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, self._failed, failure.request, reason, transient)

    def on_dropped(self, request: scrapy.Request) -> None:
        """A request that was made before: rightly dropped, unless it goes round in a circle."""
        if request.url in request.meta.get("redirect_urls", ()):
            self.intake.fail(request.meta["redirect_urls"][0], "redirects in a circle")

    def _failed(self, request: Any, reason: str, transient: bool) -> None:
        url = request.url
        if hops := request.meta.get("redirect_urls"):
            url, reason = hops[0], f"{reason} (after a redirect to {url})"
        if request.meta.get("entry"):
            self._entry_failed(url, reason, transient)
            return
        try:
            self.intake.fail(url, reason, transient=transient)
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
    if isinstance(error, RefusedAddressError):
        return f"was not fetched: {error}", False
    name = type(error).__name__
    if isinstance(error, IgnoreRequest):
        if "exceeded DOWNLOAD_MAXSIZE" in str(error):  # while it was decompressed
            return REASONS["DownloadCancelledError"], False
        return f"was not fetched: {_line(error)}", False
    reason = REASONS.get(name, f"failed: {_line(error)}")
    return reason, name not in PERMANENT_FAILURES


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _encoding(response: Response) -> str | None:
    """What the page or its server declares. A guess would hide damage, so none is made."""
    header = response.headers.get("Content-Type", b"").decode("latin-1")
    return (
        read_bom(response.body)[0]
        or http_content_type_encoding(header)
        or html_body_declared_encoding(response.body)
    )
