"""Articles over several pages: which page goes on with which.

Blogs call the article that was written next `rel=next` as well. So a page goes on with another
only if that has its address with the next number, and says that it is a part of it: by its
canonical link, or by the same title on a page that says that it is an article.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import scrapy  # noqa: TID253 - imported by the spider, lazily itself
import structlog
from scrapy.crawler import Crawler  # noqa: TID253 - as above
from scrapy.http import HtmlResponse, Response  # noqa: TID253 - as above
from w3lib.encoding import html_body_declared_encoding, http_content_type_encoding, read_bom

from twin.crawl.formats import several_pages
from twin.crawl.formats.listing import is_listing
from twin.crawl.formats.several_pages import Part, joined_body
from twin.crawl.page import Page
from twin.crawl.web.part_numbers import part_of
from twin.crawl.web.site import Site
from twin.crawl.web.urls import canonical, page_key, same_host

log = structlog.get_logger("twin.crawl")

#: Pages of one article; what has more is a book, or goes round in a circle.
MOST_PARTS = 60

_SAYS_ARTICLE = re.compile(
    r'"@type"\s*:\s*\[?\s*"(?:[A-Za-z]*Article|[A-Za-z]*Posting|Report|Review)"'
)
# As in « Two ledgers - Page 2 of 3 | Ada's site »
_PAGE_OF_TITLE = re.compile(
    r"\s*[-\u2013\u2014|:,(]*\s*(?:page|part|seite|teil|p\u00e1gina|pagina)?\s*\d{1,3}"
    r"(?:\s*(?:/|of|von|de|sur)\s*\d{1,3})?\s*\)?(?=\s*(?:[-\u2013\u2014|:\u00b7]|$))",
    re.IGNORECASE,
)


class Parts:
    """Fetches the later pages of articles.

    Args:
        crawler: downloads them.
        site: whose pages they are.
        max_bytes: of all pages of an article.
        meta: of requests.
    """

    def __init__(
        self, crawler: Crawler, site: Site, max_bytes: int, meta: Mapping[str, Any]
    ) -> None:
        self._crawler = crawler
        self._site = site
        # They are kept as text, which takes a third more.
        self._max_bytes = max_bytes * 2 // 3
        self._meta = dict(meta)

    async def with_others(self, page: Page, response: HtmlResponse) -> Page:
        """A page together with those that its article goes on on, if there are any."""
        if page.exchange is None or not may_have_parts(response, page.url):
            return page
        parts = [Part(page.url, page.body, page.encoding)]
        number, last = 1, response
        was_asked = False
        while len(parts) < MOST_PARTS:
            name = self._next(parts, last, number)
            if name is None:
                break
            was_asked = True
            part = await self._fetched(name)
            if part is None or not goes_on(response, page.url, part) or self._is_full(parts, part):
                break
            parts.append(Part(name, part.body, encoding_of(part)))
            number, last = part_of(name)[1] or number + 1, part
        if not was_asked:
            return page
        # One page that is as it was says nothing of the others.
        page = replace(page, exchange=page.exchange.without_validators())
        if len(parts) == 1:
            return page
        return replace(
            page, body=joined_body(parts), media_type=several_pages.MEDIA_TYPE, encoding=None
        )

    def _next(self, parts: list[Part], last: HtmlResponse, number: int) -> str | None:
        said = next_part(last, parts[-1].url, parts[0].url, number)
        name = self._site.canonical(said) if said else None
        known = {page_key(part.url) for part in parts}
        if name is None or page_key(name) in known or not self._site.may_fetch(name):
            return None
        return name

    def _is_full(self, parts: list[Part], part: HtmlResponse) -> bool:
        size = sum(len(one.body) for one in parts) + len(part.body)
        if size > self._max_bytes:
            log.warning(
                "article cut off: crawl.max_page_bytes", page=parts[0].url, pages=len(parts)
            )
        return size > self._max_bytes

    async def _fetched(self, url: str) -> HtmlResponse | None:
        """A later page; None if it cannot be had: the first one is an article by itself."""
        if self._crawler.engine is None:
            return None
        try:
            request = scrapy.Request(url, meta=self._meta)
            part = await self._crawler.engine.download_async(request)
        except Exception as error:
            log.warning("a later page of an article cannot be had", page=url, error=str(error))
            return None
        is_page = isinstance(part, HtmlResponse) and part.status == 200
        return part if is_page and self._site.is_ours(self._site.canonical(part.url)) else None


def next_part(response: HtmlResponse, url: str, first: str, number: int) -> str | None:
    """Where an article may go on.

    Args:
        response: a page of it.
        url: its canonical URL.
        first: the first page's.
        number: of this page, from 1.
    """
    said = _linked(response, "next")
    if said is None or not same_host(said, url):
        return None
    base, wanted = part_of(said)
    # Some count from 0: the second page is then number 1.
    is_next = wanted is not None and wanted in {number, number + 1}
    is_ours = base == page_key(first) or base == part_of(first)[0]
    return said if is_next and is_ours and page_key(said) != page_key(url) else None


def may_have_parts(response: HtmlResponse, url: str) -> bool:
    """Whether a page may be the first of several: an article whose address has no later number."""
    number = part_of(url)[1]
    first = number is None or number <= 1
    return first and _is_text(response) and not is_listing(url, response.selector.root)


def _is_text(response: HtmlResponse) -> bool:
    """Whether a page can be parsed; the reader says what is wrong with one that cannot."""
    try:
        return response.selector.root is not None
    except UnicodeEncodeError:  # half a surrogate pair
        return False


def goes_on(first: HtmlResponse, url: str, part: HtmlResponse) -> bool:
    """Whether a page says that it is a part of the article on another one."""
    if not _is_text(part):
        return False
    named = _canonical(part)
    if named is not None and page_key(named) == page_key(url):
        return True
    if named is not None and page_key(named) != page_key(canonical(part.url)):
        return False
    return _says_article(first) and _title(first) != "" and _title(first) == _title(part)


def _says_article(response: HtmlResponse) -> bool:
    kind = response.xpath("//meta[@property='og:type']/@content").get() or ""
    if kind.strip().lower() == "article":
        return True
    scripts = response.xpath("//script[@type='application/ld+json']/text()").getall()
    if any(_SAYS_ARTICLE.search(script) for script in scripts):
        return True
    return len(response.xpath("//article")) == 1 and kind.strip().lower() != "website"


def _title(response: HtmlResponse) -> str:
    title = " ".join((response.xpath("//title//text()").get() or "").split())
    return _PAGE_OF_TITLE.sub("", title, count=1).strip().casefold()


def _canonical(response: HtmlResponse) -> str | None:
    said = response.xpath("//link[@rel='canonical']/@href").get()
    return _absolute(response, said)


def _linked(response: HtmlResponse, relation: str) -> str | None:
    said = response.xpath(
        f"//link[contains(concat(' ', @rel, ' '), ' {relation} ')]/@href"
        f" | //a[contains(concat(' ', @rel, ' '), ' {relation} ')]/@href"
    ).get()
    return _absolute(response, said)


def _absolute(response: Any, said: str | None) -> str | None:
    if not said:
        return None
    try:
        return canonical(response.urljoin(said.strip()))
    except ValueError:
        return None


def encoding_of(response: Response) -> str | None:
    """What the page or its server declares. A guess would hide damage, so none is made."""
    header = response.headers.get("Content-Type", b"").decode("latin-1")
    return (
        read_bom(response.body)[0]
        or http_content_type_encoding(header)
        or html_body_declared_encoding(response.body)
    )
