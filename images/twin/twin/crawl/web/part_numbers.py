"""Addresses of an article's pages: ``/a`` and ``/a/2/``, ``/a?page=2``, ``/a-2.html``."""

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from twin.crawl.web.urls import page_key

_IN_PATH = re.compile(r"(?:/page)?[/_.-](?P<number>\d{1,3})(?P<end>/?(?:\.html?|\.php)?)$")
_PARAMETER = re.compile(r"page|paged|pg|p|part|seite|pagina")


def without_number(url: str) -> tuple[str, int | None]:
    """The address of an article's first page, and a page's number in it; None if it has none."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    for place, (name, value) in enumerate(pairs):
        if _PARAMETER.fullmatch(name) and value.isdecimal() and len(value) <= 3:
            rest = urlencode(pairs[:place] + pairs[place + 1 :])
            return urlunsplit((*parts[:3], rest, "")), int(value)
    match = _IN_PATH.search(parts.path)
    if match is None:
        return url, None
    path = parts.path[: match.start()] + match["end"]
    return urlunsplit((*parts[:2], path or "/", parts.query, "")), int(match["number"])


def part_of(url: str) -> tuple[str, int | None]:
    """As `without_number`, with the key of the first page's address (`page_key`)."""
    first, number = without_number(url)
    return page_key(first), number


def goes_on_from(url: str, previous: str | None) -> str | None:
    """The page that an article comes from, if a page's address and its ``rel=prev`` say so."""
    first, number = part_of(url)
    if previous is None or not number:
        return None
    return previous if part_of(previous) in {(first, number - 1), (first, None)} else None
