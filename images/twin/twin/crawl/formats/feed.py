"""RSS and Atom feeds: their items, and an item that is a whole article.

A feed is an outsider's XML: entities are not expanded, DTDs not loaded, nothing is fetched.
"""

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from lxml import etree

from twin.crawl.formats.markdown import language, published, title_from_url
from twin.crawl.page import Article, UnusableError
from twin.crawl.web.urls import same_page
from twin.text.words import count_words

MEDIA_TYPE = "application/vnd.llm-twin.feed-item+xml"
SHORTEST_FULL_TEXT_WORDS = 150
ROOTS = frozenset({"rss", "RDF", "feed"})
ITEMS = frozenset({"item", "entry"})
#: Of the feed's own elements, those that say something about its items and seldom change.
_KEPT = frozenset({"channel", "title", "language", "author", "creator", "license"})
_REST = re.compile(
    r"(\[?(…|\.\.\.)\]?|(continue|keep) reading\W.*|read (more|on|the (full|rest|whole))\b.*"
    r"|(full|whole) (story|article|post)\W*|weiterlesen\W*|lire la suite\W*|leer más\W*)$",
    re.IGNORECASE,
)
# What WordPress and Medium put behind every item.
_FOOTER = re.compile(
    r"^(the post .* (appeared first on|first appeared on) .*"
    r"|.* was originally published in .* on Medium, where people are continuing .*)$",
    re.IGNORECASE | re.DOTALL,
)


class NoFeedError(UnusableError):
    """The text is no RSS or Atom feed."""


@dataclass(frozen=True)
class FeedItem:
    """An item of a feed.

    Attributes:
        link: its page, as the feed says, or None.
        body: a feed with this item alone, from which `read_feed_item` makes an article.
        content: HTML of what claims to be the whole text; empty if nothing does.
        summary: HTML of its description.
    """

    link: str | None
    body: bytes
    content: str
    summary: str

    def is_whole(self, url: str, *, trusted: bool = False) -> bool:
        """Whether the item reads as a whole text: long, and without a link to its rest.

        Args:
            url: of the item's page.
            trusted: the recipe says that the feed has whole texts; then one may be short, and
                stand in the description.
        """
        tree = _fragment(self.content or (self.summary if trusted else ""))
        if tree is None:
            return False
        _drop_footers(tree)
        text = " ".join(" ".join(tree.itertext()).split())
        if _REST.search(text[-80:]):
            return False
        if not trusted and count_words(text) < SHORTEST_FULL_TEXT_WORDS:
            return False
        links = tree.xpath(".//a[@href]")
        return not (links and _ends(tree, links[-1]) and same_page(links[-1].get("href"), url))


def feed_items(body: bytes) -> list[FeedItem]:
    """Items of an RSS (0.9x to 2.0) or Atom feed, in its order.

    Raises:
        NoFeedError: it is none.
    """
    root = _parsed(body)
    return [
        FeedItem(_link(item), _alone(root, item), _content(item), _summary(item))
        for item in _items(root)
    ]


def next_page_of(body: bytes) -> str | None:
    """The page of a feed that has older items (RFC 5005), if it names one.

    Raises:
        NoFeedError: it is no feed.
    """
    root = _parsed(body)
    for parent in (root, *root.iter("{*}channel")):
        for link in _children(parent, "link"):
            if link.get("rel") in {"next", "prev-archive"} and link.get("href"):
                return str(link.get("href")).strip()
    return None


def read_feed_item(body: bytes, url: str, *, links: bool = False) -> Article:
    """Read a feed's item as an article; its title, date, byline and tags are the feed's.

    Args:
        body: a feed with one item (`FeedItem.body`).
        url: the page of the item; relative links are resolved against it.
        links: keep links and images in the Markdown.

    Raises:
        UnusableError: there is no text in it.
    """
    from twin.crawl.formats.html import read_fragment

    root = _parsed(body)
    item = next(_items(root), None)
    if item is None:
        raise UnusableError("an empty feed")
    tree = _fragment(_content(item) or _summary(item))
    if tree is None:
        raise UnusableError("the feed's item has no text")
    _drop_footers(tree)
    title = _plain(_text(item, "title"))
    text = etree.tostring(tree, encoding="unicode", method="html")
    return Article(
        title=title or title_from_url(url),
        content=read_fragment(text, url, title=title, links=links),
        byline=_byline(root, item),
        published=_time(item, "pubDate", "published", "date", "issued", "updated"),
        modified=_time(item, "modified", "updated"),
        language=language(_language(root, item)),
        tags=_tags(item),
        licence=_licence(root, item),
    )


def _parsed(body: bytes) -> etree._Element:
    parser = etree.XMLParser(
        recover=True, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    try:
        root = etree.fromstring(body.strip() or b"<none/>", parser)
    except (etree.XMLSyntaxError, ValueError):
        root = None
    if root is None or _name(root) not in ROOTS:
        raise NoFeedError("is no RSS or Atom feed")
    return root


def _items(root: etree._Element) -> Iterator[etree._Element]:
    return (element for element in root.iter("{*}*") if _name(element) in ITEMS)


def _name(element: etree._Element) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def _alone(root: etree._Element, item: etree._Element) -> bytes:
    """A feed of one item, which stays the same while other items come and go."""
    alone = etree.Element(root.tag, dict(root.attrib), nsmap=root.nsmap)
    parent = alone
    for element in root.iter("{*}*"):
        if _name(element) in ITEMS:
            break
        if element is root or _name(element) not in _KEPT:
            continue
        if _name(element) == "channel":
            parent = etree.SubElement(alone, element.tag, dict(element.attrib))
        elif element.getparent() is root or _name(element.getparent()) == "channel":
            parent.append(deepcopy(element))
    copied = deepcopy(item)
    copied.tail = None
    parent.append(copied)
    return bytes(etree.tostring(alone, encoding="utf-8"))


def _children(item: etree._Element, *names: str) -> list[etree._Element]:
    """Children of these names, in the order of the names."""
    return [child for name in names for child in item if _name(child) == name]


def _text(item: etree._Element, *names: str) -> str:
    for child in _children(item, *names):
        if child.text and child.text.strip():
            return str(child.text).strip()
    return ""


def _link(item: etree._Element) -> str | None:
    if original := _text(item, "origLink"):  # behind a feed service's own redirects
        return original
    for child in _children(item, "link"):
        where = child.get("href") or (child.text or "").strip()
        if where and child.get("rel", "alternate") == "alternate":
            return str(where)
    for child in _children(item, "guid"):
        if child.get("isPermaLink") != "false" and (child.text or "").strip():
            return str(child.text).strip()
    return None


def _content(item: etree._Element) -> str:
    """HTML of `content:encoded` (RSS) or `content` (Atom)."""
    for child in _children(item, "encoded", "content"):
        if _name(child) == "content" and child.get("type", "text") == "xhtml":
            inner = child.find("{*}div")
            return "" if inner is None else _markup(inner)
        if _name(child) == "encoded" or child.get("type") in {"html", "text/html"}:
            return str(child.text or "")
    return ""


def _summary(item: etree._Element) -> str:
    return _text(item, "description", "summary")


def _markup(element: etree._Element) -> str:
    """XHTML without its namespaces, as HTML."""
    copied = deepcopy(element)
    for part in copied.iter("{*}*"):
        part.tag = _name(part)
    copied.tail = None
    etree.cleanup_namespaces(copied)
    return str(etree.tostring(copied, encoding="unicode", method="html"))


def _fragment(markup: str) -> etree._Element | None:
    from lxml.html import fragment_fromstring

    if not markup.strip():
        return None
    try:
        return fragment_fromstring(markup, create_parent="div")
    except (etree.ParserError, ValueError):
        return None


def _drop_footers(tree: etree._Element) -> None:
    """Take off what a platform puts behind the text: footers, pixels that count readers."""
    for image in tree.xpath('.//img[(@width="1" and @height="1") or contains(@src, "/_/stat?")]'):
        image.drop_tree()
    while len(tree):
        last = tree[-1]
        text = " ".join(" ".join(last.itertext()).split()) if isinstance(last.tag, str) else ""
        empty = not text and last.tag in {"p", "br", "hr"} and not last.xpath(".//img")
        if (last.tail or "").strip() or not (empty or _FOOTER.match(text)):
            return
        last.drop_tree()


def _ends(tree: etree._Element, link: etree._Element) -> bool:
    """Whether nothing is said after a link."""
    element = link
    while element is not tree:
        if (element.tail or "").strip(" \n\t.»→>"):
            return False
        if any("".join(after.itertext()).strip() for after in element.itersiblings("*")):
            return False
        element = element.getparent()
    return True


def _byline(root: etree._Element, item: etree._Element) -> str | None:
    names = [*_authors(item)]
    if not names and _name(root) == "feed":
        names = _authors(root)
    title = next((_plain(_text(parent, "title")) for parent in root.iter("{*}channel")), "")
    return ", ".join(dict.fromkeys(name for name in names if name != title)) or None


def _authors(element: etree._Element) -> list[str]:
    names = []
    for child in _children(element, "creator", "author"):
        name = _text(child, "name") or (child.text or "")
        if name.strip():
            names.append(_plain(name))
    return names


def _plain(markup: str) -> str:
    """A title or name that may be HTML, in one line."""
    tree = _fragment(markup) if re.search(r"[<&]", markup) else None
    return " ".join((markup if tree is None else "".join(tree.itertext())).split())


def _licence(root: etree._Element, item: etree._Element) -> str | None:
    """The item's own, else that of the feed: ``license`` of Creative Commons, a link in Atom."""
    channel = next(root.iter("{*}channel"), root)
    links = (link.get("href") for link in _children(item, "link") if link.get("rel") == "license")
    named = (
        element.text or next(iter(element.attrib.values()), "")
        for parent in (item, channel)
        for element in _children(parent, "license")
    )
    found = (str(name).strip() for name in (*links, *named) if name)
    return next((name for name in found if name), None)


def _time(item: etree._Element, *names: str) -> datetime | None:
    text = _text(item, *names)
    try:
        return published(text) or published(parsedate_to_datetime(text))
    except (ValueError, TypeError):
        return None


def _language(root: etree._Element, item: etree._Element) -> str:
    name = "{http://www.w3.org/XML/1998/namespace}lang"
    said = next((_text(channel, "language") for channel in root.iter("{*}channel")), "")
    return str(item.get(name) or said or root.get(name) or "")


def _tags(item: etree._Element) -> tuple[str, ...]:
    found = (child.get("term") or child.text or "" for child in _children(item, "category"))
    return tuple(dict.fromkeys(" ".join(tag.split()) for tag in found if tag.strip()))
