"""The spider of web sources: their lists (sitemaps, feeds, archives), and where nothing led to."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import scrapy  # noqa: TID253 - base class of the spider; this module is imported lazily
from scrapy.http import HtmlResponse, Response  # noqa: TID253 - as above

from twin.crawl.absences import Absence
from twin.crawl.formats import feed
from twin.crawl.page import Page, UnusableError
from twin.crawl.tally import Outcome
from twin.crawl.web.page_spider import IN_BROWSER, PageSpider, Requests
from twin.crawl.web.pagination import next_page
from twin.crawl.web.sitemaps import read_sitemap
from twin.crawl.web.urls import page_key, page_number
from twin.recipes import WebSource


class WebSpider(PageSpider):
    """Reads the lists of one web source, asks for the pages in them, and follows links."""

    #: Whether a document that nothing led to can be asked for by its page.
    asks_one_by_one = True

    def __init__(self, source: WebSource, **options: Any) -> None:
        super().__init__(source=source, **options)
        self._archives: set[str] = set()
        self._lost_list = False
        self._feed_pages: set[str] = set()
        self._feeds_left = len(source.feeds)
        self._feeds_read = asyncio.Event()
        self._sitemaps: set[str] = set()
        self._asked_again = False

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

    # Sitemaps

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

    # Feeds

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

    # Archives

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

    def _note_lost(self, request: Any) -> None:
        """A list that could not be had may have led to any page."""
        if request.callback in {self.on_sitemap, self.on_archive, self.on_feed}:
            self._lost_list = True

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

    def _alone(self, url: str) -> scrapy.Request:
        """Ask once more for a page that is not what it calls its canonical page."""
        request = self._page_request(url)
        return request.replace(dont_filter=True, meta={**request.meta, "stands_alone": True})

    def _is_from_a_list(self, url: str) -> bool:
        """Whether a document was read from a feed or an API: its page is another text."""
        known = self.intake.pages.get(url)
        if known is None:
            return self.source.feeds_have_full_text is True
        return known.status is None and known.outcome != Outcome.FAILED

    # A crawl that is told to end, and goes on later

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
