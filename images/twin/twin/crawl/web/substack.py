"""Substack: a publication's archive by its API, and its posts."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import scrapy  # noqa: TID253 - imported lazily, as the spider is
from scrapy.http import Response, TextResponse  # noqa: TID253 - as above

from twin.crawl.formats.substack import MEDIA_TYPE, SubstackPost, parse_archive, parse_post
from twin.crawl.page import Page, UnusableError
from twin.crawl.web.page_spider import Requests
from twin.crawl.web.spider import WebSpider
from twin.recipes import SubstackSource, WebSource

POSTS_PER_PAGE = 25


class SubstackSpider(WebSpider):
    """Asks the API for the archive, page after page, and for every post in it.

    Where the API gives no post, the post's page is read as any page is.
    """

    asks_one_by_one = False  # its page is another text than the API's

    def __init__(self, source: SubstackSource, **options: Any) -> None:
        self._base = f"{urlsplit(source.url).scheme}://{urlsplit(source.url).netloc}"
        self._posts = source.posts
        self._listed: set[str] = set()
        site = WebSource(
            kind="web", name=source.name, start_urls=source.entries, exclude=source.exclude,
            hosts=source.hosts, allow_private=source.allow_private, follow_links=False,
            javascript=source.javascript, complete=True,
        )  # fmt: skip
        super().__init__(source=site, **options)

    async def start(self) -> AsyncIterator[scrapy.Request]:
        """The posts that the recipe names, else the archive."""
        for url in self._posts:
            post = SubstackPost(slug=slug_of(url), canonical_url=url)
            if request := self._post(post, entry=True):
                yield request
        if not self._posts:
            yield self._archive(0)

    def _archive(self, offset: int) -> scrapy.Request:
        request = self._entry(self._archive_url(offset), self.on_archive)
        return request.replace(meta={**request.meta, "offset": offset})

    def _archive_url(self, offset: int) -> str:
        query = urlencode({"sort": "new", "search": "", "offset": offset, "limit": POSTS_PER_PAGE})
        return f"{self._base}/api/v1/archive?{query}"

    def on_archive(self, response: Response) -> Requests:
        """Posts of a page of the archive, and the page after it unless this one had none new.

        Posts that the recipe excludes are no end of it.
        """
        try:
            posts = parse_archive(_text(response))
        except UnusableError as error:
            self._entry_failed(response.url, str(error))
            return
        slugs = {post.slug for post in posts} - self._listed
        self._listed |= slugs
        yield from (request for post in posts if (request := self._post(post)))
        if slugs and len(self._listed) > self._max_pages:
            self.left_out += 1
        elif slugs:
            yield self._archive(response.meta["offset"] + len(posts))

    def _post(self, post: SubstackPost, *, entry: bool = False) -> scrapy.Request | None:
        """A request for a post not asked for yet."""
        if not post.slug:
            return None
        url = self.site.canonical(urljoin(f"{self._base}/", f"p/{post.slug}"))
        if not self.site.may_fetch(url) or not self._is_new(url):
            return None
        return scrapy.Request(
            f"{self._base}/api/v1/posts/{post.slug}", self.on_post, errback=self.on_no_post,
            meta={"post": url, "entry": entry, "public_url": url},
        )  # fmt: skip

    async def on_post(self, response: Response) -> AsyncIterator[scrapy.Request]:
        """A post; where the API answers something else, its page instead."""
        url: str = response.meta["post"]
        try:
            text = _text(response)
            post = parse_post(text)
        except UnusableError:
            yield self._page_of(response.request, url)
            return
        if not post.slug:
            yield self._page_of(response.request, url)
            return
        await self._take(
            Page(
                url=url,
                body=stable_body(text),
                media_type=MEDIA_TYPE,
                # A podcast or thread of few words is rightly no document.
                expected=post.type == "newsletter",
                reserved=await self._reservations.of(response, url),
            )
        )

    async def on_no_post(self, failure: Any) -> AsyncIterator[scrapy.Request]:
        """The API refused a post: its page may not."""
        status = getattr(getattr(failure.value, "response", None), "status", None)
        if status in {401, 403, 404, 405, 410}:
            yield self._page_of(failure.request, failure.request.meta["post"])
            return
        await self.on_failure(failure)

    def _page_of(self, request: Any, url: str) -> scrapy.Request:
        return scrapy.Request(
            url, self.on_page, errback=self.on_failure,
            meta={"entry": request.meta.get("entry", False), "listed": True},
        )  # fmt: skip


def slug_of(url: str) -> str:
    """Slug of a post's URL: ``…/p/SLUG``; empty if it is none."""
    parts = urlsplit(url).path.strip("/").split("/")
    return parts[1] if len(parts) >= 2 and parts[0] == "p" else ""


def stable_body(text: str) -> bytes:
    """A post with what we read of it alone: counts of likes and readers change all the time."""
    return parse_post(text).model_dump_json(by_alias=True).encode()


def _text(response: Response) -> str:
    return response.text if isinstance(response, TextResponse) else ""
