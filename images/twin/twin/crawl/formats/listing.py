"""Telling pages that lead to articles (tags, archives, home pages) from articles."""

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from lxml.html import HtmlElement

# Path segments by which the common site generators (Hugo, Jekyll, WordPress, Ghost, Substack)
# mark their listings. They mark one wherever they stand, but `archive` only at the end: some
# sites file their articles below it.
_LISTING_SEGMENTS = frozenset({"tag", "tags", "category", "categories"})
_LISTING_ENDINGS = frozenset({"archive", "archives", "search", "sitemap", "feed"})
_PAGE_NUMBER = re.compile(r"/page/\d+/?$")
_MIN_TEASERS = 3
# An article with this share of all teasers' text is the page's own, the others are "related".
_DOMINANT_SHARE = 0.5


def is_listing(url: str, tree: "HtmlElement") -> bool:
    """Whether a page only lists articles, by its address or by its shape."""
    return _listing_address(url) or _is_list_of_teasers(tree)


def _listing_address(url: str) -> bool:
    path = urlsplit(url).path.lower()
    segments = [segment for segment in path.split("/") if segment]
    if not segments:
        return False
    last = segments[-1].removesuffix(".html")
    return (
        any(segment in _LISTING_SEGMENTS for segment in segments)
        or last in _LISTING_ENDINGS
        or _PAGE_NUMBER.search(path) is not None
    )


def _is_list_of_teasers(tree: "HtmlElement") -> bool:
    """At least three ``<article>`` with heading and link, none of which dominates the page."""
    teasers = tree.xpath("//article[.//a[@href] and (.//h1 or .//h2 or .//h3)]")
    if len(teasers) < _MIN_TEASERS:
        return False
    lengths = [len("".join(article.itertext()).split()) for article in teasers]
    return max(lengths) < _DOMINANT_SHARE * sum(lengths)
