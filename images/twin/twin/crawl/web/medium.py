"""Medium: an author's profile or a publication, by its feed, its sitemap and named articles."""

import re
from typing import Any
from urllib.parse import urlsplit

from twin.crawl.formats import feed
from twin.crawl.web.spider import WebSpider
from twin.crawl.web.urls import MEDIUM_ARTICLE
from twin.recipes import MediumSource, WebSource

SITEMAP = "/sitemap/sitemap.xml"


class MediumSpider(WebSpider):
    """A web spider that knows where Medium keeps what.

    The feed's items are the articles, wherever their links lead (a profile's articles stand in
    publications of other hosts). Of a member's article it has the beginning only; then the page
    is asked, which says that it is behind a paywall. No link is followed, so the articles that
    Medium recommends under each page stay theirs.
    """

    def __init__(self, source: MediumSource, **options: Any) -> None:
        super().__init__(source=site_of(source), **options)

    def _is_in_reach(self, name: str) -> bool:
        return not self.site.is_ours(name) or self.site.may_fetch(name)

    def _is_article(self, item: feed.FeedItem, name: str) -> bool:
        if super()._is_article(item, name):
            return True
        if not self.site.is_ours(name):
            self.intake.refuse(
                name, "its feed has only its beginning: behind a paywall, or name it in articles"
            )
        return False

    def _entry_failed(self, url: str, reason: str, transient: bool = False) -> None:
        # Not every domain on Medium has a sitemap, and the feed has the newest articles anyway.
        if urlsplit(url).path == SITEMAP and reason in {"answered 404", "answered 410"}:
            return
        super()._entry_failed(url, reason, transient)


def site_of(source: MediumSource) -> WebSource:
    """The web source that a Medium source amounts to."""
    feeds, sitemaps = [], []
    if source.url:
        parts = urlsplit(source.url)
        base = f"{parts.scheme}://{parts.netloc}"
        path = parts.path.strip("/").partition("/")[0]
        feeds.append(f"{base}/feed/{path}" if path else f"{base}/feed")
        if not path:  # a domain of its own; those of medium.com itself are everybody's
            sitemaps.append(f"{base}{SITEMAP}")
    named = (f"^{re.escape(url)}$" for url in source.articles)
    include = (MEDIUM_ARTICLE.pattern, *named)
    return WebSource(
        kind="web", name=source.name, feeds=tuple(feeds), sitemaps=tuple(sitemaps),
        start_urls=source.articles, include=include, exclude=source.exclude,
        hosts=source.hosts, allow_private=source.allow_private, javascript=source.javascript,
        follow_links=False, feeds_have_full_text=True,
    )  # fmt: skip
