"""A member's export of their LinkedIn data: posts, articles, and comments if they are wanted.

The site forbids crawling; the export is the member's own copy. The archive is never unpacked:
its entries are read one by one, within limits, and no name in it becomes a path.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from io import StringIO
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from twin.crawl.formats.markdown import published
from twin.crawl.formats.plain_text import first_words
from twin.crawl.intake import Intake
from twin.crawl.page import Article, UnusableError
from twin.crawl.sources.archive import Archive, ArchiveError, open_archive
from twin.crawl.web.urls import canonical
from twin.domain.document import normalise
from twin.domain.errors import BadDataError
from twin.recipes import LinkedInExportSource

#: A table of the export; some hundred thousand posts.
MAX_TABLE_BYTES = 200_000_000
# In the export, a line break within a text is written as quote, line break, quote.
_QUOTED_BREAKS = re.compile(r'"((?:\n"{0,2})*\n)"')
# Tables in which a quote within a text is written as backslash, quote; in the others it is doubled.
_WITH_BACKSLASHES = frozenset({"comments.csv"})
# Newer exports put the member's number behind a table's name.
_MEMBER_NUMBER = re.compile(r"_\d+(?=\.csv$)")
# Who may see a post, where that is anyone: exports say MEMBER_NETWORK of ordinary public posts,
# the site's API says PUBLIC, older ones ANYONE or ALL. Whatever else there is, even if we have
# never seen it, is not for all.
_PUBLIC = frozenset({"MEMBER_NETWORK", "PUBLIC", "ANYONE", "ALL"})
_ESCAPED_QUOTE = re.compile(r'\\"')
_HASHTAG = re.compile(r"(?<![\w&/])#([^\W\d_]\w*)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?)?")


def read_linkedin_export(source: LinkedInExportSource, intake: Intake) -> None:
    """Hand the export's posts and articles to the intake.

    A missing or unsafe archive, or one without what is asked for, is noted as the source's error.

    Raises:
        TwinError: the warehouse is away.
    """
    try:
        with open_archive(source.path) as archive:
            _read(source, archive, intake)
    except ArchiveError as error:
        intake.entry_errors.append(BadDataError(f"source {source.name!r}: {error}"))


def _read(source: LinkedInExportSource, archive: Archive, intake: Intake) -> None:
    tables = {_table(name): name for name in archive.names}
    articles = [name for name in archive.names if _is_article(name)]
    if "shares.csv" not in tables and not articles:
        raise ArchiveError(
            f"{source.path} holds neither Shares.csv nor Articles/*.html: ask LinkedIn for the "
            "larger archive (Settings, Data privacy, Get a copy of your data)"
        )
    with intake.job.progress(f"crawl {source.name}", None) as advance:
        intake.advance = advance
        if source.posts and "shares.csv" in tables:
            _take_posts(source, archive, tables["shares.csv"], intake)
        if source.comments and "comments.csv" in tables:
            rows = _rows(archive, tables["comments.csv"])
            _take_rows(rows, _comment, intake)
        for name in intake.budget.allowed(articles if source.articles else ()):
            _take_article(archive, name, intake)


def _table(name: str) -> str:
    """A table's name as older exports have it."""
    return _MEMBER_NUMBER.sub("", PurePosixPath(name).name.lower())


def _is_article(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in {".html", ".htm"} and "Articles" in path.parts


# Posts and comments


Row = dict[str, str]


def _rows(archive: Archive, name: str) -> Iterator[Row]:
    return rows_of(archive.read(name, MAX_TABLE_BYTES), name)


def _take_posts(source: LinkedInExportSource, archive: Archive, name: str, intake: Intake) -> None:
    """Take the posts that anyone may see, and those that the recipe wants besides.

    Older exports have no column that says who may see them: what is in them is taken.
    """
    wanted = _PUBLIC.union(source.visibilities)
    left_out: Counter[str] = Counter()

    def seen_by_all() -> Iterator[Row]:
        for row in _rows(archive, name):
            visibility = row.get("Visibility", "").upper()
            if visibility and visibility not in wanted:
                left_out[visibility] += 1
                intake.skip(f"a post that not anyone may see: {visibility}")
            else:
                yield row

    _take_rows(seen_by_all(), _share, intake)
    if left_out:
        key = (
            f"{source.name}: posts that not anyone may see, left out "
            "(the source's `visibilities` adds them)"
        )
        intake.job.result.detail[key] = ", ".join(
            f"{count:,} {visibility}" for visibility, count in left_out.most_common()
        )


def _take_rows(
    rows: Iterator[Row], read: Callable[[Row], tuple[str, Article] | None], intake: Intake
) -> None:
    for row in intake.budget.allowed(rows):
        state = "\n".join(row.values()).encode()
        intake.budget.spend(len(state))
        found = read(row)
        if found is None:
            intake.skip("no words of the member's own, or no link")
            continue
        url, article = found
        intake.take_article(url, state, partial(_same, article), expected=False)


def _same(article: Article) -> Article:
    return article


def rows_of(body: bytes, name: str) -> Iterator[Row]:
    """Rows of a table by their headers, texts as their author wrote them.

    Raises:
        ArchiveError: not UTF-8, or no such table.
    """
    try:
        text = body.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ArchiveError(f"{name} is not UTF-8 at byte {error.start:,}") from None
    if _table(name) in _WITH_BACKSLASHES:
        text = _ESCAPED_QUOTE.sub('""', text)
    csv.field_size_limit(MAX_TABLE_BYTES)
    try:
        for row in csv.DictReader(StringIO(text, newline="")):
            yield {str(key): _unquoted(str(value or "")) for key, value in row.items() if key}
    except csv.Error as error:
        raise ArchiveError(f"{name} is no table: {error}") from None


def _unquoted(text: str) -> str:
    """A text without the quotes that the export puts around its line breaks and before others."""
    breaks = text.count("\n")
    quoted = sum(match[0].count("\n") for match in _QUOTED_BREAKS.finditer(text))
    if breaks and quoted == breaks:
        text = _QUOTED_BREAKS.sub(lambda match: "\n" * match[0].count("\n"), text)
    return text.replace('\\"', '"').strip()


def _share(row: Row) -> tuple[str, Article] | None:
    link, text = _link(row.get("ShareLink", "")), row.get("ShareCommentary", "")
    return (link, _post(text, row.get("Date", ""), "post")) if link and text else None


def _comment(row: Row) -> tuple[str, Article] | None:
    link, text, date = _link(row.get("Link", "")), row.get("Message", ""), row.get("Date", "")
    if not link or not text:
        return None
    # Several comments may stand below one post.
    return f"{link}#{re.sub(r'[^0-9]', '', date)}", _post(text, date, "comment")


def _link(text: str) -> str | None:
    """Canonical URL of a link, whose colons the export may have encoded; None if it is none."""
    try:
        link = canonical(unquote(text.strip()))
    except ValueError:
        return None
    return link if link.startswith("https://") else None


def _post(text: str, date: str, kind: str) -> Article:
    return Article(
        title=first_words(text),
        content=normalise(text),
        published=_time(date),
        tags=tuple(dict.fromkeys(_HASHTAG.findall(text))),
        kind=kind,
    )


def _time(text: str) -> datetime | None:
    """The first time in a text, in UTC as the export has them."""
    found = _DATE.search(text)
    return published(found[0]) if found else None


# Articles


def _take_article(archive: Archive, name: str, intake: Intake) -> None:
    limit = intake.job.recipe.crawl.max_page_bytes
    url = f"linkedin-export:{name}"
    try:
        body = archive.read(name, limit)
        intake.budget.spend(len(body))
    except ArchiveError as error:
        intake.fail(url, str(error))
        return
    try:
        tree = _tree(body)
    except UnusableError as error:
        intake.fail(url, str(error))
        return
    url = _link(next(iter(tree.xpath("//h1//a/@href")), "")) or url
    if not tree.xpath("//*[@class='published']") and tree.xpath("//*[@class='created']"):
        intake.skip("a draft: it was created, not published")
        return
    intake.take_article(url, body, lambda: article_of(tree, name))


def _tree(body: bytes) -> Any:
    from lxml.etree import LxmlError
    from lxml.html import document_fromstring

    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnusableError(f"invalid utf-8 at byte {error.start}") from None
    if not text.strip():
        raise UnusableError("empty")
    try:
        return document_fromstring(text)
    except (ValueError, LxmlError) as error:
        raise UnusableError(f"not HTML: {' '.join(str(error).split())[:120]}") from None


def article_of(tree: Any, name: str) -> Article:
    """An article of the export; its whole page is the author's."""
    from twin.crawl.formats.html_text import to_markdown

    headings = tree.xpath("//h1")
    title = " ".join(headings[0].text_content().split()) if headings else ""
    when = {
        kind: _time(" ".join(tree.xpath(f"//*[@class='{kind}']//text()")))
        for kind in ("created", "published")
    }
    for element in tree.xpath("//*[@class='created' or @class='published']"):
        element.drop_tree()
    if headings:
        headings[0].drop_tree()
    return Article(
        title=title or PurePosixPath(name).stem.replace("-", " "),
        content=to_markdown(tree),
        published=when["published"] or when["created"],
    )
