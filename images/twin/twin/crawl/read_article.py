"""From a page to an article, by its media type."""

from dataclasses import replace

from twin.crawl.formats import feed, substack
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

#: Part of what decides whether stored text is still what we would extract today: raise it when
#: a change of these readers changes their output.
READER_VERSION = "1"


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
    article = _in_whole_characters(_read(page))
    words = len(article.content.split())
    if words < max(limits.min_words, 1):
        raise UnusableError(f"{words} words, fewer than crawl.min_words = {limits.min_words}")
    return article


def _read(page: Page) -> Article:
    if page.media_type in MARKDOWN_TYPES:
        from twin.crawl.formats.markdown import read_markdown

        return read_markdown(decode(page), page.url)
    if page.media_type in HTML_TYPES:
        from twin.crawl.formats.html import read_html
        from twin.crawl.formats.paywall import refuse_paywalled

        text = decode(page)
        refuse_paywalled(text)
        return read_html(text, page.url, listings=not page.expected)
    if page.media_type == feed.MEDIA_TYPE:
        return feed.read_feed_item(page.body, page.url)
    if page.media_type == substack.MEDIA_TYPE:
        return substack.read_substack_post(decode(page), page.url)
    raise UnusableError(f"{page.media_type or 'of no type'}: neither HTML nor Markdown")


def _in_whole_characters(article: Article) -> Article:
    """Escapes in front matter can spell what the page's own bytes, decoded strictly, can't hold."""
    return replace(
        article,
        title=whole(article.title),
        content=whole(article.content),
        subtitle=article.subtitle and whole(article.subtitle),
        tags=tuple(whole(tag) for tag in article.tags),
    )
