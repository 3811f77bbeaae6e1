"""The date that a page shows its readers: at its title, or in its address."""

import re
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from twin.crawl.formats.dates import date_in, moment_of

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_IN_ADDRESS = re.compile(
    r"/(?P<year>(?:19|20)\d\d)[/-](?P<month>\d{1,2})[/-](?P<day>\d{1,2})(?=[/-])"
)
_CALLED = (
    "//time|//*[contains(@class, 'date') or contains(@class, 'published')"
    " or contains(@class, 'timestamp') or contains(@class, 'dateline') or contains(@class, 'meta')"
    " or contains(@class, 'posted') or contains(@class, 'updated')]"
)
_MAX_LINE = 60
_MAX_LINE_AT_TITLE = 100
_MAX_CALLED = 40
_LINES_BEFORE, _LINES_AFTER = 6, 10
_OUTSIDE = frozenset({"aside", "nav", "footer"})
# Of a reader, or of another article.
_OF_OTHERS = re.compile(
    r"(?:^|[\s_-])(?:comments?|commentlist|repl(?:y|ies)|respon[ds]\w*|sidebar|related|recent"
    r"|recommended|popular|widget|teasers?|cards?|archive|next|prev|previous)"
    r"(?:[\s_-]|$)",
    re.IGNORECASE,
)
_CHANGED = re.compile(
    r"\b(?:updated|modified|edited|revised|aktualisiert|geändert|mis à jour|modifié|actualizado"
    r"|aggiornato|обновлено|更新|copyright|©)",
    re.IGNORECASE,
)
_LAST_CHANGE = re.compile(r"updated|modified", re.IGNORECASE)
_BLOCKS = frozenset(
    {"p", "div", "h1", "h2", "h3", "h4", "li", "td", "header", "section", "article"}
)
_NO_TEXT = frozenset({"script", "style", "template", "noscript"})


def visible_date(tree: "HtmlElement", url: str, language: str | None) -> datetime | None:
    """A date that stands by itself in the page, at its title, or in its address."""
    called = list(islice(tree.xpath(_CALLED), _MAX_CALLED))
    # Where a page shows one time only, microformats call it that of the last change.
    for element in sorted(
        called, key=lambda e: _LAST_CHANGE.search(e.get("class") or "") is not None
    ):
        if moment := _date_of(element, language):
            return moment
    for line in _lines_at_title(tree):
        if not _CHANGED.search(line) and (moment := date_in(line, language)) is not None:
            return moment
    if match := _IN_ADDRESS.search(urlsplit(url).path):
        return moment_of("-".join([match["year"], match["month"].zfill(2), match["day"].zfill(2)]))
    return None


def _date_of(element: "HtmlElement", language: str | None) -> datetime | None:
    if _is_of_others(element):
        return None
    if stated := element.get("datetime"):
        return moment_of(stated, language)
    text = " ".join(element.text_content().split())
    if len(text) > _MAX_LINE or not any(c.isdigit() for c in text) or _CHANGED.search(text):
        return None
    return moment_of(text, language)


def _is_of_others(element: "HtmlElement") -> bool:
    """Whether an element stands in a comment, an aside, a footer, or beside another title."""
    for above in (element, *element.iterancestors()):
        if above.tag in ("body", "html"):
            return False
        if above.tag in _OUTSIDE:
            return True
        if _OF_OTHERS.search(f"{above.get('class') or ''} {above.get('id') or ''}"):
            # A wrapper of the whole page may be called anything.
            if not above.xpath("boolean(.//h1)"):
                return True
    return False


def _lines_at_title(tree: "HtmlElement") -> Iterator[str]:
    """Short lines right under the title, and right over it."""
    title = next(iter(tree.xpath("(//article//h1 | //main//h1 | //h1)[1]")), None)
    if title is None:
        title = next(iter(tree.xpath("(//article//h2 | //main//h2 | //h2)[1]")), None)
    if title is None:
        return
    for axis, lines in (("following", _LINES_AFTER), ("preceding", _LINES_BEFORE)):
        texts = title.xpath(f"({axis}::text()[normalize-space()])[position() <= {3 * lines}]")
        if axis == "preceding":
            texts.reverse()
        seen: list[HtmlElement] = []
        for text in texts:
            block = _block_of(text)
            if block is None or block in seen:
                continue
            seen.append(block)
            line = " ".join(block.text_content().split())
            if len(seen) > lines or (axis == "following" and len(line) > _MAX_LINE_AT_TITLE):
                break
            if len(line) <= _MAX_LINE_AT_TITLE:
                yield line


def _block_of(text: object) -> "HtmlElement | None":
    """The block of a text node, if readers see it, and not beside the article."""
    parent = text.getparent()  # type: ignore[attr-defined]
    element = parent.getparent() if text.is_tail else parent  # type: ignore[attr-defined]
    if element is None or element.tag in _NO_TEXT or _is_of_others(element):
        return None
    return next((e for e in (element, *element.iterancestors()) if e.tag in _BLOCKS), None)
