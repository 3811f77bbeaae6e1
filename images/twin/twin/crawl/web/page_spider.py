"""What every spider does with pages: ask for them, hand them to the intake, follow their links."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from functools import partial
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import scrapy  # noqa: TID253 - base class of the spider; this module is imported lazily
from scrapy.crawler import Crawler  # noqa: TID253 - as above
from scrapy.exceptions import CloseSpider  # noqa: TID253 - as above
from scrapy.http import HtmlResponse, Response, XmlResponse  # noqa: TID253 - as above
from scrapy.linkextractors import LinkExtractor  # noqa: TID253 - as above
from scrapy.spidermiddlewares.httperror import HttpError  # noqa: TID253 - as above

from twin.crawl.absences import Absence
from twin.crawl.intake import Intake
from twin.crawl.page import HTML_TYPES, MARKDOWN_TYPES, Exchange, Page
from twin.crawl.steps import Steps, at_once
from twin.crawl.tally import Outcome
from twin.crawl.web.batches import Batches
from twin.crawl.web.dead_links import STATUSES
from twin.crawl.web.download_errors import explain, is_off_limits
from twin.crawl.web.pagination import Traps, shape
from twin.crawl.web.parts import Parts, encoding_of
from twin.crawl.web.reservations import Reservations
from twin.crawl.web.site import Site
from twin.crawl.web.urls import is_on, page_number, same_page
from twin.domain.errors import BadDataError, TryAgainError, TwinError
from twin.recipes import CrawlSection, WebSource
from twin.stores.addresses import AddressGuard

#: Meta key of requests whose pages are read with a browser, if the source says so.
IN_BROWSER = "in_browser"
_SIGN_IN = re.compile(r"/(authwall|login|uas/login|checkpoint/)")
LARGEST_WALL_BYTES = 10_000
LEADS_AWAY = "leads to another host"

Requests = Iterator[scrapy.Request]
Result = TypeVar("Result")


class PageSpider(scrapy.Spider):
    """Fetches pages of one web source and hands them to its intake.

    Extraction and storing run in ``executor``, so that the event loop goes on downloading;
    Scrapy stops fetching while too many pages wait for it.
    """

    name = "web"
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
        self._traps = Traps()
        self._passed_by_trap = False
        self.left_out = 0
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

    # Requests

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
        self._note_lost(failure.request)
        if is_off_limits(failure.value) and not failure.request.meta.get("entry"):
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

    def _note_lost(self, request: Any) -> None:
        """Note what else is lost with what a request was to bring; for spiders that read lists."""

    def _failed(
        self, request: Any, reason: str, transient: bool, status: int | None = None
    ) -> None:
        self._note_lost(request)
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


def asks_to_sign_in(url: str, body: bytes) -> bool:
    """Whether this is LinkedIn's wall in front of a page."""
    parts = urlsplit(url)
    if not is_on(parts.hostname or "", "linkedin.com"):
        return False
    return bool(_SIGN_IN.match(parts.path)) or (
        len(body) < LARGEST_WALL_BYTES and b"/authwall?" in body
    )


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
