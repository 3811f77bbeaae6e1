"""From a page to an article, by its media type."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module

from twin.crawl.formats import feed, media_types, several_pages, substack
from twin.crawl.formats.media_types import settled_type
from twin.crawl.page import (
    HTML_TYPES,
    MARKDOWN_TYPES,
    Article,
    Page,
    UnusableError,
    decode,
    whole,
)
from twin.recipes import CrawlSection
from twin.text.language import document_language
from twin.text.words import count_words

#: Part of what decides whether stored text is still what we would extract today: raise it when
#: a change of these readers changes their output.
READER_VERSION = "6"

#: Fewest words of a text that is short by its nature; `crawl.min_words` counts where it is less.
MIN_WORDS_OF_POST = 10
#: Fewest lines, blank ones aside, of a source file: less is an empty ``__init__.py``.
MIN_LINES_OF_CODE = 3
#: MongoDB takes 16 MiB a document.
MAX_CONTENT_BYTES = 15_000_000

_OF_OUR_OWN = frozenset({several_pages.MEDIA_TYPE, feed.MEDIA_TYPE, substack.MEDIA_TYPE})
#: Media type to the module of `twin.crawl.formats` and the function in it that reads such files.
_READERS = {
    media_types.PDF: ("pdf", "read_pdf"),
    media_types.DOCX: ("docx", "read_docx"),
    media_types.NOTEBOOK: ("notebook", "read_notebook"),
    media_types.PLAIN_TEXT: ("plain_text", "read_plain_text"),
    media_types.VTT: ("transcript", "read_transcript"),
    media_types.SRT: ("transcript", "read_transcript"),
    media_types.SOURCE_CODE: ("code", "read_code_page"),
}


def read_article(page: Page, limits: CrawlSection) -> Article:
    """Read a page within the recipe's limits.

    Raises:
        ListingError: the page only leads to articles.
        UnusableError: too large, empty, too short, badly encoded or of an unknown type.
        Exception: what a library raises that a page breaks.
    """
    if len(page.body) > limits.max_page_bytes:
        raise UnusableError(
            f"{len(page.body):,} bytes, more than crawl.max_page_bytes = {limits.max_page_bytes:,}"
        )
    if not page.body.strip():
        raise UnusableError("empty")
    return checked(_read(page, limits), limits)


def checked(article: Article, limits: CrawlSection) -> Article:
    """The article in whole characters, if it is neither too short nor too long for a document.

    Raises:
        UnusableError: it is.
    """
    article = _in_whole_characters(article)
    if article.language is None and article.kind != "code":
        article = replace(article, language=document_language(None, article.content))
    limit = min(limits.max_page_bytes, MAX_CONTENT_BYTES)
    if (size := len(article.content.encode())) > limit:
        raise UnusableError(f"{size:,} bytes of text, more than {limit:,}")
    if article.kind == "code":
        _check_lines(article)
    else:
        _check_words(article, limits)
    return article


def _check_words(article: Article, limits: CrawlSection) -> None:
    words = count_words(article.content)
    if article.kind in {"post", "comment"} and limits.min_words > MIN_WORDS_OF_POST:
        fewest, rule = MIN_WORDS_OF_POST, f"the {MIN_WORDS_OF_POST} of a {article.kind}"
    else:
        fewest, rule = limits.min_words, f"crawl.min_words = {limits.min_words}"
    if words < max(fewest, 1):
        raise UnusableError(f"{words} words, fewer than {rule}")


def _check_lines(article: Article) -> None:
    lines = sum(bool(line.strip()) for line in article.content.splitlines()) - 2  # the fences
    if lines < MIN_LINES_OF_CODE:
        raise UnusableError(f"{max(lines, 0)} lines of code, fewer than {MIN_LINES_OF_CODE}")


def _read(page: Page, limits: CrawlSection) -> Article:
    if page.media_type in MARKDOWN_TYPES:
        from twin.crawl.formats.markdown import read_markdown

        return read_markdown(decode(page), page.url, drafts=page.drafts, now=page.fetched)
    if page.media_type in HTML_TYPES:
        from twin.crawl.formats.html import read_html
        from twin.crawl.formats.paywall import refuse_paywalled

        text = decode(page)
        refuse_paywalled(text)
        return read_html(text, page.url, listings=not page.expected, links=limits.keep_links)
    if page.media_type in _OF_OUR_OWN:
        return _read_own(page, limits)
    media_type = settled_type(page.media_type, page.url, page.body)
    if media_type != page.media_type:
        return _read(replace(page, media_type=media_type), limits)
    if media_type not in _READERS:
        raise UnusableError(
            f"{media_type or 'of no type'}: neither HTML, Markdown nor another format that is read "
            "(PDF, DOCX, notebook, plain text, VTT, SRT, source code)"
        )
    module, function = _READERS[media_type]
    read: Callable[[Page], Article] = getattr(
        import_module(f"twin.crawl.formats.{module}"), function
    )
    return read(page)


def _read_own(page: Page, limits: CrawlSection) -> Article:
    """A page in a form that only crawls have."""
    if page.media_type == several_pages.MEDIA_TYPE:
        return several_pages.read_several_pages(page, partial(_read, limits=limits))
    if page.media_type == feed.MEDIA_TYPE:
        return feed.read_feed_item(page.body, page.url, links=limits.keep_links)
    return substack.read_substack_post(decode(page), page.url, links=limits.keep_links)


def _in_whole_characters(article: Article) -> Article:
    """Escapes in front matter can spell what the page's own bytes, decoded strictly, can't hold."""
    return replace(
        article,
        title=whole(article.title),
        content=whole(article.content),
        subtitle=article.subtitle and whole(article.subtitle),
        byline=article.byline and whole(article.byline),
        tags=tuple(whole(tag) for tag in article.tags),
    )
