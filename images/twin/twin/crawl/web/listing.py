"""Spiders that read a site's lists and say which pages they would ask for, without asking.

Sitemaps, feeds, archives, robots.txt, and the pages that the recipe itself names for their links
are fetched as a crawl fetches them; every other page is dropped once robots.txt has had its say.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import scrapy  # noqa: TID253 - base classes below; this module is imported lazily
from scrapy.exceptions import IgnoreRequest  # noqa: TID253 - as above
from scrapy.http import Request, Response  # noqa: TID253 - as above

from twin.crawl.page import Page
from twin.crawl.tally import Outcome
from twin.crawl.web.download_errors import OFF_LIMITS, explain
from twin.crawl.web.politeness import RobotsMiddleware, UnknownRobotsError
from twin.crawl.web.spider import WebSpider

if TYPE_CHECKING:
    from twin.crawl.preview import Preview

#: What reads a page, by the method's name: all else reads lists.
_PAGES = frozenset({"on_page", "on_post"})
FOR_LINKS = "for its links only"
IN_FEED = "from the feed itself"
ANOTHER_HOST = "on another host"
EXCLUDED = "the source's exclude"
NOT_INCLUDED = "not in the source's include"

_LISTING = "twin.crawl.web.listing"
MIDDLEWARES = {
    "twin.crawl.web.politeness.RobotsMiddleware": None,
    f"{_LISTING}.ListingRobots": 100,
    f"{_LISTING}.Listing": 110,
}


class ListedError(IgnoreRequest):
    """A page that a crawl would ask for now."""


class Listing:
    """Drops what is only to be listed. Robots.txt comes before it."""

    def __init__(self, crawler: Any) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Any) -> "Listing":
        """Made by Scrapy, once a spider."""
        return cls(crawler)

    def process_request(self, request: Request) -> None:
        """Let lists through."""
        if self._crawler.spider.is_only_listed(request):
            raise ListedError


class ListingRobots(RobotsMiddleware):
    """Waits for the turn of what is fetched, and of nothing else."""

    async def _take_turn(self, request: Request, delay: float) -> None:
        if not self.crawler.spider.is_only_listed(request):
            await super()._take_turn(request, delay)


def listing_of(spider: type[WebSpider]) -> type[WebSpider]:
    """The spider of a kind of source, that lists only."""
    return type(f"Listing{spider.__name__}", (_Lists, spider), {})


class _Lists(WebSpider):
    """What a listing spider does otherwise. Its intake is a `twin.crawl.preview.Preview`."""

    @property
    def _preview(self) -> "Preview":
        preview: Any = self.intake
        return preview  # type: ignore[no-any-return]

    def is_only_listed(self, request: Request) -> bool:
        """Whether a request is for a page, and not for one whose links the recipe wants."""
        if getattr(request.callback, "__name__", "") not in _PAGES:
            return False
        return not (request.meta.get("entry") and self.source.follow_links)

    def _is_wanted(self, url: str) -> bool:
        if super()._is_wanted(url):
            return True
        if not self.site.is_ours(url):
            reason = ANOTHER_HOST
        else:
            reason = NOT_INCLUDED if self.site.may_fetch(url) else EXCLUDED
        self._preview.leave_out(url, reason)
        return False

    def _ask(self, url: str) -> None:
        is_document = self.site.may_be_document(url)
        self._preview.ask(url, "" if is_document else FOR_LINKS)
        self._preview.leads_on = self._preview.leads_on or self.source.follow_links

    async def _on_full_page(self, url: str, response: Response) -> AsyncIterator[scrapy.Request]:
        """A page that the recipe names: where it leads."""
        self._ask(url)
        for request in self._pages(self._linked(response) or (), response):
            yield request

    async def _take(self, page: Page) -> tuple[Outcome, str]:
        self._preview.ask(page.url, IN_FEED)
        return Outcome.SKIPPED, ""

    async def on_failure(self, failure: Any) -> None:
        """A request that was dropped, on purpose or by robots.txt, or that failed."""
        request, error = failure.request, failure.value
        url = request.meta.get("public_url", request.url)
        if isinstance(error, ListedError):
            self._ask(url)
        elif self.is_only_listed(request) and isinstance(error, UnknownRobotsError):
            self._preview.leave_out(url, explain(error)[0])
        elif isinstance(error, IgnoreRequest) and str(error).startswith(OFF_LIMITS):
            self._preview.leave_out(url, str(error))
        else:
            await super().on_failure(failure)

    def on_idle(self) -> list[scrapy.Request]:
        """Known documents that no list names: a crawl asks for each of them, unless its lists
        are complete."""
        if self._asked_again or not self.asks_one_by_one or self.lists_all():
            return []
        self._asked_again = True
        return list(self._pages(self._preview.known.documents, None))
