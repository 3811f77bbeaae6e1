"""What a page says about its article: JSON-LD, ``meta`` elements, microdata and visible lines."""

import html
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from twin.crawl.formats.dates import moment_of
from twin.crawl.formats.json_ld import article_of, first_of, strings_of
from twin.crawl.formats.markdown import language, tags
from twin.crawl.formats.visible_dates import visible_date
from twin.crawl.rights import reserved_by_robots, reserved_by_tdm_header
from twin.crawl.web.part_numbers import goes_on_from
from twin.crawl.web.urls import canonical, same_host

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_TITLE_SEPARATOR = re.compile(r"\s+[|\-–—·•»:]\s+")  # noqa: RUF001
_AROUND_NAMES = " ,;:|·•-–—"  # noqa: RUF001
_AROUND_SITES = " |-–—·•»:\u00a0"  # noqa: RUF001
_BY = re.compile(
    r"^\W*(?:(?:written|posted|published|reported|story)\s+)?(?:by|von|par|por|door|di)\s*:?\s+",
    re.IGNORECASE,
)
_LAST_NAME_FIRST = re.compile(r"^(?P<last>[^\s,]+),\s*(?P<first>[^,]+)$")
_NOT_A_NAME = re.compile(r"https?://|www\.|[<>{}|]|\d{4}")
# A shorter confirmed heading is the name of the site.
_MIN_SHARE_OF_TITLE = 0.4
_MAX_NAME = 120
_MAX_SUBTITLE = 400
_SUBTITLES = frozenset(
    [
        "subtitle",
        "subhead",
        "subheadline",
        "subheading",
        "standfirst",
        "deck",
        "dek",
        "lead-in",
        "alternativeheadline",
    ]
)
# A person's card has a subtitle, too.
_OF_SOMETHING_ELSE = frozenset({"card", "author", "profile", "bio"})
_TAG = re.compile(r"<[^>]{1,2000}>")

_TITLES = ("og:title", "twitter:title", "dc.title", "dcterms.title", "title", "headline")
_AUTHORS = (
    "author", "article:author", "dc.creator", "dcterms.creator", "citation_author",
    "parsely-author", "sailthru.author", "byl", "article:author_name",
)  # fmt: skip
_PUBLISHED = (
    "article:published_time", "og:published_time", "datepublished", "date", "dc.date",
    "dc.date.issued", "dcterms.created", "dcterms.date", "pubdate", "publishdate", "publish-date",
    "parsely-pub-date", "sailthru.date", "citation_publication_date", "article.published",
    "og:article:published_time", "published_time", "release_date", "originalpublicationdate",
)  # fmt: skip
_MODIFIED = (
    "article:modified_time", "og:updated_time", "datemodified", "last-modified",
    "dcterms.modified", "lastmod", "article.updated",
)  # fmt: skip
_LANGUAGES = ("og:locale", "content-language", "dc.language", "language")
_LICENCES = ("dcterms.license", "dc.rights", "dcterms.rights", "license")
_ROBOTS = ("robots", "llm-twin")


@dataclass(frozen=True)
class Metadata:
    """What a page says about its article.

    Attributes:
        body: text of the article, where the page carries it as data.
        reserved: uses it forbids machines: noai, noindex, tdm.
        canonical_url: its own name for itself, if that is on the same host.
        original_url: that name on another host: where it was published first.
        stated_url: the same on whatever host.
        continues: the page before, if this one says that its article began there.
    """

    title: str | None
    subtitle: str | None
    byline: str | None
    published: datetime | None
    modified: datetime | None
    language: str | None
    tags: tuple[str, ...]
    licence: str | None
    reserved: tuple[str, ...]
    canonical_url: str | None
    original_url: str | None
    stated_url: str | None
    continues: str | None
    body: str | None


def read_metadata(tree: "HtmlElement", url: str, base: str | None = None) -> Metadata:
    """Read the metadata of a page; what it does not say is None or empty.

    Args:
        base: what addresses in the page are relative to, if that is not ``url``.
    """
    page = _Page(tree)
    stated = _stated_url(page, base or url)
    name = _canonical(page, base or url)
    here = name is not None and same_host(name, url)
    return Metadata(
        title=_title(page),
        subtitle=_subtitle(page),
        byline=_byline(page),
        published=_date(page, "datePublished", _PUBLISHED)
        or visible_date(page.tree, url, page.language_tag),
        modified=_date(page, "dateModified", _MODIFIED),
        language=_language(page),
        tags=_tags(page),
        licence=_licence(page, url),
        reserved=_reserved(page),
        canonical_url=name if here else None,
        original_url=None if here else name,
        stated_url=stated,
        continues=goes_on_from(url, _previous(page, base or url)),
        body=_body(page),
    )


class _Page:
    """The places of a page that speak of it, found once."""

    def __init__(self, tree: "HtmlElement") -> None:
        self.tree = tree
        self.meta: dict[str, list[str]] = {}
        for element in tree.iter("meta"):
            name = element.get("property") or element.get("name") or element.get("http-equiv")
            value = element.get("content") or element.get("value")
            if name and value and value.strip():
                self.meta.setdefault(name.strip().lower(), []).append(" ".join(value.split()))
        self.article = article_of(tree)
        self.items: dict[str, list[HtmlElement]] = {}
        for element in tree.xpath("//*[@itemprop]"):
            for name in element.get("itemprop").split():
                self.items.setdefault(name, []).append(element)

    @property
    def language_tag(self) -> str | None:
        """The language that the page says it is in, with its region."""
        return self.tree.getroottree().getroot().get("lang") or None

    def first_meta(self, names: Iterable[str]) -> Iterator[str]:
        """Values of these ``meta``, in the order of the names."""
        for name in names:
            yield from self.meta.get(name, ())


def _body(page: _Page) -> str | None:
    body = page.article.get("articleBody") or page.article.get("text")
    if not isinstance(body, str) or not body.strip():
        return None
    text = html.unescape(body)
    return _TAG.sub("\n", text) if "</" in text or "<br" in text else text


# ------------------------------------------------------------------------------------ the fields


def _title(page: _Page) -> str | None:
    """The headline; a visible ``h1`` that others confirm is the best form of it."""
    data = [first_of(page.article.get("headline")), first_of(page.article.get("name"))]
    stated = [*filter(None, data), *page.first_meta(_TITLES)]
    own = page.tree.xpath("//article//h1 | //main//h1")
    if not stated and len(own) == 1 and (heading := _text(own[0])):
        return heading  # the window's title may be that of the site, or of a script's application
    stated += [_text(title) for title in page.tree.xpath("(//title)[1]")]
    headings = [text for h1 in page.tree.xpath("//h1")[:8] if (text := _text(h1))]
    bare = [_bare(title) for title in stated]
    confirmed = ([h for h in headings if _bare(h) and _bare(h) in title] for title in bare)
    # By what is stated first: the window's title may confirm a heading of the whole site.
    best = max(next(filter(None, confirmed), []), key=len, default="")
    if best and len(best) >= _MIN_SHARE_OF_TITLE * len(next(filter(None, stated), "")):
        return best
    for title in stated:
        if title:
            return _without_site(title, page)
    return headings[0] if len(headings) == 1 else None


def _without_site(title: str, page: _Page) -> str:
    """``Title | Site`` without the site, where the page says what its site is called."""
    parts = _TITLE_SEPARATOR.split(title)
    if len(parts) < 2:
        return title
    site = next(page.first_meta(("og:site_name", "application-name")), "")
    publisher = first_of(page.article.get("publisher")) or ""
    known = {_bare(site), _bare(publisher)} - {""}
    if _bare(parts[-1]) in known:
        return title[: title.rindex(parts[-1])].rstrip(_AROUND_SITES)
    return title


def _subtitle(page: _Page) -> str | None:
    stated = first_of(page.article.get("alternativeHeadline"))
    if stated:
        return stated
    xpath = (
        "(following::*[self::h2 or self::h3 or self::h4 or self::p or self::div]"
        "[@class or @itemprop])"
        "[position() <= 8]"
    )
    h1 = next(iter(page.tree.xpath("(//h1)[1]")), None)
    for element in h1.xpath(xpath) if h1 is not None else ():
        words = set(re.split(r"[^a-z]+", (element.get("class") or "").lower()))
        named = words & _SUBTITLES or element.get("itemprop") == "alternativeHeadline"
        if words & _OF_SOMETHING_ELSE:
            continue
        text = _text(element) if named else ""
        if text and len(text) <= _MAX_SUBTITLE and _bare(text) != _bare(_text(h1)):
            return text
    return None


def _byline(page: _Page) -> str | None:
    """Names of the authors, as the page writes them."""
    site = {_bare(name) for name in page.first_meta(("og:site_name",))}
    site |= {_bare(name) for name in strings_of(page.article.get("publisher"))}
    stated = [name for name in map(_name, _authors(page.article.get("author"), site)) if name]
    if stated:
        return ", ".join(dict.fromkeys(stated))
    for key in _AUTHORS:  # of several authors, each may have an element of its own
        names = [n for n in map(_name, page.meta.get(key, ())) if n and _bare(n) not in site]
        if len(names) > 1:  # with commas between them, none may be within
            names = [_LAST_NAME_FIRST.sub(r"\g<first> \g<last>", name) for name in names]
        if names:
            return ", ".join(dict.fromkeys(names))
    visible = [
        *page.items.get("author", ()),
        *page.tree.xpath("//a[@rel='author' or contains(@rel, 'author ')]"),
        *page.tree.xpath(
            "//*[contains(@class, 'byline') or contains(@class, 'author-name')"
            " or contains(@class, 'author_name') or contains(@class, 'post-author')"
            " or contains(@class, 'article-author') or contains(@class, 'entry-author')"
            " or @class='author' or contains(@class, 'vcard')]"
            "[not(ancestor::aside or ancestor::footer)]"
        ),
    ]
    for element in visible[:12]:
        inner = element.xpath(".//*[@itemprop='name' or contains(@class, 'fn')]")
        if name := _name(_text(inner[0] if inner else element)):
            return name
    return None


def _authors(value: object, site: set[str]) -> Iterator[str]:
    """Names in a JSON-LD author; not the site's own, unless it is said to be a person's."""
    for item in value if isinstance(value, list) else [value]:
        is_person = isinstance(item, dict) and item.get("@type") == "Person"
        yield from (name for name in strings_of(item) if is_person or _bare(name) not in site)


def _name(text: str | None) -> str | None:
    """A name without ``By``; None if it is an address, a date or a sentence."""
    text = _BY.sub("", text or "")
    text = re.split(r"\s+[|·•]\s+|\s+(?:on|am|le)\s+\d|,?\s+(?:published|updated|posted)\b", text)[
        0
    ]
    text = text.strip(_AROUND_NAMES)
    if not text or len(text) > _MAX_NAME or len(text.split()) > 12 or _NOT_A_NAME.search(text):
        return None
    return text if re.search(r"[^\W\d_]{2}", text) else None


def _date(page: _Page, name: str, metas: Iterable[str]) -> datetime | None:
    stated = [*_stamps(page.article.get(name)), *page.first_meta(metas)]
    if name == "datePublished":
        stated += _stamps(page.article.get("dateCreated"))
    for element in page.items.get(name, ()):
        stated += filter(None, (element.get("datetime"), element.get("content"), _text(element)))
    moments = (moment_of(text, page.language_tag) for text in stated)
    return next((moment for moment in moments if moment is not None), None)


def _stamps(value: object) -> list[object]:
    """Times of a JSON-LD value, which may be numbers."""
    numbers = isinstance(value, int | float) and not isinstance(value, bool)
    return [value] if numbers else list(strings_of(value))


def _language(page: _Page) -> str | None:
    root = page.tree.getroottree().getroot()
    stated = [
        root.get("lang"),
        root.get("{http://www.w3.org/XML/1998/namespace}lang") or root.get("xml:lang"),
        first_of(page.article.get("inLanguage")),
        *page.first_meta(_LANGUAGES),
    ]
    return next((found for tag in stated if (found := language((tag or "").strip()))), None)


def _tags(page: _Page) -> tuple[str, ...]:
    linked = [_text(a).lstrip("#") for a in page.tree.xpath("//a[contains(@rel, 'tag')]")]
    sources = (
        page.meta.get("article:tag"),
        linked,
        list(strings_of(page.article.get("keywords"))),
        list(page.first_meta(("keywords", "news_keywords", "parsely-tags"))),
    )
    return next((found for source in sources if (found := tags(source or ""))), ())


def _licence(page: _Page, url: str) -> str | None:
    links = page.tree.xpath("//*[self::a or self::link][contains(@rel, 'license')]/@href")
    stated = first_of(page.article.get("license")) or next(page.first_meta(_LICENCES), None)
    try:
        return str(urljoin(url, links[0].strip())) if links else stated
    except ValueError:
        return stated


def _reserved(page: _Page) -> tuple[str, ...]:
    found = reserved_by_robots(page.first_meta(_ROBOTS))
    found |= reserved_by_tdm_header(page.meta.get("tdm-reservation", []))
    return tuple(sorted(found))


def _canonical(page: _Page, url: str) -> str | None:
    """The page's own name for itself; on another host, if it was published there first."""
    for link in page.tree.xpath('//head/link[@rel="canonical"]/@href'):
        try:
            return canonical(urljoin(url, link.strip()))
        except ValueError:
            return None
    return None


def _previous(page: _Page, url: str) -> str | None:
    """The page that this one calls the one before it."""
    named = "contains(concat(' ', @rel, ' '), ' prev ') or @rel = 'previous'"
    for link in page.tree.xpath(f"//link[{named}]/@href | //a[{named}]/@href"):
        with suppress(ValueError):
            return canonical(urljoin(url, link.strip()))
    return None


def _stated_url(page: _Page, url: str) -> str | None:
    links = [
        *page.tree.xpath("//link[@rel='canonical']/@href"),
        *page.first_meta(("og:url",)),
    ]
    for link in links:
        try:
            name = urljoin(url, link.strip())
            if urlsplit(name).scheme in ("http", "https") and urlsplit(name).netloc:
                return str(name)
        except ValueError:
            continue
    return None


def _text(element: "HtmlElement") -> str:
    return " ".join(element.text_content().split())


def _bare(text: str) -> str:
    return "".join(re.findall(r"\w+", text.casefold()))
