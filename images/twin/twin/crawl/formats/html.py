"""HTML pages: main text as Markdown, and metadata."""

import logging
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from twin.crawl.formats.html_markdown import to_markdown, to_text
from twin.crawl.formats.html_rewrite import rewrite
from twin.crawl.formats.html_runs import Event, events_of
from twin.crawl.formats.listing import is_listing
from twin.crawl.formats.main_text import choose, choose_all
from twin.crawl.formats.markdown import title_from_url
from twin.crawl.formats.metadata import Metadata, read_metadata
from twin.crawl.formats.nesting import flattened
from twin.crawl.formats.page_addresses import base_of, resolve_inner_bases
from twin.crawl.page import Article, ListingError, UnusableError
from twin.domain.document import normalise

if TYPE_CHECKING:
    from lxml.html import HtmlElement
    from trafilatura.settings import Extractor

_MIN_FOUND = 250  # characters


@dataclass(frozen=True)
class Extraction:
    """An article, its text without any Markdown, and what the page calls its own address."""

    article: Article
    text: str
    stated_url: str | None


def read_html(text: str, url: str, *, listings: bool = False, links: bool = False) -> Article:
    """Extract the article of a page.

    Args:
        text: the page, decoded.
        url: where it is; relative links are resolved against it.
        listings: refuse pages that only lead to articles.
        links: keep links and images in the Markdown.

    Raises:
        ListingError: it is such a page.
        UnusableError: there is no main text in it.
    """
    return extract_html(text, url, listings=listings, links=links).article


def read_fragment(markup: str, url: str, *, title: str = "", links: bool = False) -> str:
    """Markdown of HTML that is the article itself, as a feed or an API gives it.

    Args:
        markup: HTML of the text.
        url: what relative links are resolved against.
        title: of the text, which is left out where it is repeated before it.
        links: keep links and images.

    Raises:
        UnusableError: there is no text in it.
    """
    tree = _parse(f"<html><body><div>{markup}</div></body></html>")
    resolve_inner_bases(tree, url)
    events = _events(tree)
    choose_all(events, title)
    if not to_text(events).strip():
        raise UnusableError("no text in it")
    return normalise(to_markdown(events, url, links=links))


def extract_html(
    text: str, url: str | None, *, listings: bool = False, links: bool = True
) -> Extraction:
    """`read_html` with the plain text and the address that the page states.

    Without ``url``, the stated address is what relative links are resolved against.

    Raises:
        ListingError, UnusableError: see `read_html`.
    """
    tree = _parse(text)
    if listings and is_listing(url or "", tree):
        raise ListingError("a listing of articles, not an article")
    try:
        return _extract(tree, url, links)
    except UnusableError:
        raise
    except Exception as error:  # a defect that one page brings out must not end the crawl
        raise UnusableError(f"the extractor failed: {type(error).__name__}: {error}") from error


def _parse(text: str) -> "HtmlElement":
    from trafilatura.utils import load_html

    # It logs what we report as reasons ourselves. (To set a level empties what loggers remember.)
    log = logging.getLogger("trafilatura")
    if log.level != logging.CRITICAL:
        log.setLevel(logging.CRITICAL)
    try:
        tree = load_html(flattened(text))
    except Exception as error:
        raise UnusableError(f"not HTML: {type(error).__name__}: {error}") from error
    if tree is None:
        raise UnusableError("not HTML")
    return tree


def _events(tree: "HtmlElement") -> list[Event]:
    """The runs and images of a page whose HTML is rewritten first."""
    return events_of(rewrite(tree))


def _extract(tree: "HtmlElement", given_url: str | None, links: bool) -> Extraction:
    base = base_of(tree, given_url or "")
    metadata = read_metadata(tree, given_url or "", base)
    url = given_url or metadata.stated_url or ""
    base = base if given_url else base_of(tree, url)
    resolve_inner_bases(tree, base)
    events = _events(tree)
    title = metadata.title or title_from_url(url)
    choose(events, _found(tree), metadata.body, [title, metadata.subtitle or ""])
    content, plain = to_markdown(events, base, links=links), to_text(events)
    if not plain.strip():
        # Pages that a script writes often carry their text as data.
        plain = "\n".join(filter(None, (" ".join(s.split()) for s in _lines(metadata.body))))
        content = plain.replace("\n", "\n\n")
    if not plain:
        raise UnusableError("no main text found")
    return Extraction(
        article=_article(metadata, title, content),
        text=plain,
        stated_url=metadata.stated_url,
    )


def _lines(text: str | None) -> list[str]:
    return (text or "").splitlines()


def _article(metadata: Metadata, title: str, content: str) -> Article:
    return Article(
        title=" ".join(title.split()),
        content=normalise(content),
        subtitle=metadata.subtitle,
        byline=metadata.byline,
        published=metadata.published,
        modified=metadata.modified,
        language=metadata.language,
        tags=metadata.tags,
        licence=metadata.licence,
        reserved=metadata.reserved,
        canonical_url=metadata.canonical_url,
        original_url=metadata.original_url,
        continues=metadata.continues,
    )


def _found(tree: "HtmlElement") -> str:
    """The text that trafilatura takes for the article, a line for each of its elements.

    It asks two other extractors as well, which takes about a third of its time; we ask them only
    where it has found hardly anything by itself.
    """
    found = _found_by_trafilatura(tree, alone=True)
    return found if len(found) >= _MIN_FOUND else _found_by_trafilatura(tree, alone=False)


def _found_by_trafilatura(tree: "HtmlElement", *, alone: bool) -> str:
    from trafilatura import bare_extraction

    found = bare_extraction(tree, options=_options(alone))
    if found is None or found.body is None:
        return ""
    return "\n".join(found.body.itertext())


@cache
def _options(alone: bool) -> "Extractor":
    """Settings of trafilatura: to make them takes a tenth of the time of reading a page."""
    from trafilatura.settings import Extractor

    return Extractor(output_format="python", fast=alone, precision=True, comments=False)
