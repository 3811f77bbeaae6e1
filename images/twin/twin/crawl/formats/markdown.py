"""Markdown files: front matter, title and text."""

import re
from datetime import UTC, datetime
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from twin.crawl.formats.front_matter import (
    date_in_name,
    expires,
    first_time,
    iso_time,
    split,
    time_of,
    why_unpublished,
)
from twin.crawl.formats.templates import without_templates
from twin.crawl.page import Article, DraftError
from twin.domain.document import normalise

# `# Title`, with optional closing hashes (CommonMark 4.2).
_ATX_TITLE = re.compile(r"#[ \t]+(?P<title>.*?)(?:[ \t]+#+)?[ \t]*$")
#: Names of the day of publication, and of the last change, in the order of belief.
_PUBLISHED = ("published", "date", "publishdate", "pubdate", "published_at", "created")
_MODIFIED = ("lastmod", "modified", "updated", "last_modified_at", "last_modified", "date_modified")

_FENCE = re.compile(r" {0,3}(```|~~~)")


def read_markdown(
    text: str, url: str, *, drafts: bool = False, now: datetime | None = None
) -> Article:
    """Read a Markdown file.

    The title is that of the front matter, else the first ``# `` heading, else the file's name.
    A heading that says the title is taken out of the content, so that no chunk repeats it.
    Front matter keys that are read: title, subtitle, date (and the names that others give it),
    lastmod, language or lang, tags or keywords, and what says that the page is not published.

    Args:
        text: of the file.
        url: of the file.
        drafts: read what is not published as well.
        now: what is dated later is not published yet.

    Raises:
        DraftError: the page is not published.
    """
    front, body = split(text)
    reason = why_unpublished(front, url, now or datetime.now(UTC))
    if reason and not drafts:
        raise DraftError(reason)
    if front:
        body = without_templates(body)
    title = _text(front.get("title"))
    heading, rest = take_title(body, title)
    taxonomies = front.get("taxonomies")
    listed = front.get("tags") or (taxonomies.get("tags") if isinstance(taxonomies, dict) else None)
    return Article(
        title=title or heading or title_from_url(url),
        content=normalise(rest) if rest.strip() else "",
        subtitle=_text(front.get("subtitle")),
        published=first_time(front, *_PUBLISHED) or date_in_name(url),
        modified=first_time(front, *_MODIFIED),
        language=language(_text(front.get("language", front.get("lang")))),
        tags=tags(listed or front.get("keywords")),
        expires=None if drafts else expires(front),
    )


def take_title(body: str, title: str | None) -> tuple[str | None, str]:
    """Split a leading ``# `` title off: (heading, the text without it).

    With a title known, only a heading that says the same is taken.
    """
    lines = body.splitlines()
    for number, line in enumerate(lines):
        if _FENCE.match(line):
            break
        if match := _ATX_TITLE.match(line):
            heading = match["title"].strip()
            if title is not None and _plain(heading) != _plain(title):
                break
            return heading, "\n".join([*lines[:number], *lines[number + 1 :]])
    return None, body


def _plain(title: str) -> str:
    """A title without markup, for comparing."""
    return "".join(re.findall(r"\w+", title.casefold()))


def title_from_url(url: str) -> str:
    """The last resort for a title: the name of the file or page."""
    parts = urlsplit(url)
    stem = PurePosixPath(unquote(parts.path)).stem or parts.netloc
    stem = stem[11:] if date_in_name(url) else stem
    return re.sub(r"[-_\s]+", " ", stem).strip() or url


def published(value: object) -> datetime | None:
    """A date or time in whatever form it was given, as an aware time; None if it is none."""
    return time_of(value, iso_time)


def language(tag: str | None) -> str | None:
    """Primary subtag of a BCP 47 language tag: ``en-GB`` is ``en``."""
    match = re.match(r"[A-Za-z]{2,3}(?![A-Za-z])", tag or "")
    return match[0].lower() if match else None


def tags(value: object) -> tuple[str, ...]:
    """Tags from a list or a comma-separated line, each once, in order.

    What a list holds besides words and numbers is no tag: written out, lists that YAML's aliases
    nest in one another would fill the memory.
    """
    items = value if isinstance(value, list | tuple) else [value]
    lines = (str(item) for item in items if isinstance(item, str | int | float))
    parts = (part.strip() for line in lines for part in line.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def _text(value: object) -> str | None:
    text = " ".join(str(value).split()) if isinstance(value, str | int | float) else ""
    return text or None
