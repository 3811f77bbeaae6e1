"""The next page of an archive, and pages that never end."""

import re
from collections import Counter
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from scrapy.http import HtmlResponse  # noqa: TID253 - imported by the spider, lazily itself

_PAGE_IN_PATH = re.compile(r"/page[/-](\d{1,6})(?=/|$|\.html?$)")
_PAGE_PARAMETER = re.compile(r"page|paged|pg|p")
_DIGITS = re.compile(r"\d+")
#: Pages of one shape that may in a row neither be a document nor lead to other pages.
CHAIN_PAGES = 50


def next_page(response: HtmlResponse, links: list[str]) -> str | None:
    """URL of the page after this one: what it calls next, else a link with the next number.

    Args:
        response: a page of an archive.
        links: the URLs it links to.
    """
    said = response.xpath(
        "//link[contains(concat(' ', @rel, ' '), ' next ')]/@href"
        " | //a[contains(concat(' ', @rel, ' '), ' next ')]/@href"
    ).get()
    if said:
        return str(response.urljoin(said.strip()))
    base, number = split_page(response.url)
    return next((link for link in links if split_page(link) == (base, (number or 1) + 1)), None)


def split_page(url: str) -> tuple[str, int | None]:
    """A URL without its page number, and the number: ``?page=N``, ``/page/N/``, ``/page-N``."""
    parts = urlsplit(url)
    path, number = parts.path, None
    if match := _PAGE_IN_PATH.search(path):
        number = int(match[1])
        path = path[: match.start()] + path[match.end() :]
    kept = []
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if _PAGE_PARAMETER.fullmatch(key) and value.isdecimal() and len(value) <= 6:
            number = int(value)
        else:
            kept.append((key, value))
    host = parts.netloc.lower().removeprefix("www.")
    return urlunsplit(("", host, path.rstrip("/"), urlencode(kept), "")), number


class Traps:
    """Sees pages that go on for ever, such as a calendar with a page for every month to come.

    Pages are told apart by their shape, which is the URL with its numbers left out. Pages of one
    shape that lead to one another are followed for `CHAIN_PAGES`, and on from there only while
    some of the last ones gave something. (Not counted from the pages read alone: downloads are
    far ahead of the reader.)
    """

    def __init__(self) -> None:
        self._fruitless: Counter[str] = Counter()
        self._fruitful: set[str] = set()

    def allows(self, url: str, chain: int = 0) -> bool:
        """Whether a page is worth fetching.

        Args:
            chain: how many pages of its shape led to one another before it.
        """
        kind = shape(url)
        if self._fruitless[kind] >= CHAIN_PAGES:
            return False
        return chain < CHAIN_PAGES or kind in self._fruitful

    def note(self, url: str, *, fruitful: bool) -> None:
        """Note whether a page was a document or led to new pages of another shape."""
        if fruitful:
            self._fruitful.add(shape(url))
            del self._fruitless[shape(url)]
        else:
            self._fruitless[shape(url)] += 1


def shape(url: str) -> str:
    """A URL with its numbers left out."""
    parts = urlsplit(url)
    keys = "&".join(f"{key}={_DIGITS.sub('0', value)}" for key, value in parse_qsl(parts.query))
    return f"{parts.netloc}{_DIGITS.sub('0', parts.path)}?{keys}"
