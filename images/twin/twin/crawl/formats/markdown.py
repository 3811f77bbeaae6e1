"""Markdown files: front matter, title and text."""

import re
from datetime import UTC, date, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from twin.crawl.page import Article, UnusableError
from twin.domain.document import normalise

# `# Title`, with optional closing hashes (CommonMark 4.2).
_ATX_TITLE = re.compile(r"#[ \t]+(?P<title>.*?)(?:[ \t]+#+)?[ \t]*$")
_FENCE = re.compile(r" {0,3}(```|~~~)")


def read_markdown(text: str, url: str) -> Article:
    """Read a Markdown file.

    The title is that of the front matter, else the first ``# `` heading, else the file's name.
    A heading that says the title is taken out of the content, so that no chunk repeats it.
    Front matter keys that are read: title, subtitle, date or published, language or lang, tags,
    draft.

    Raises:
        UnusableError: the front matter is no YAML mapping, or says that this is a draft.
    """
    front, body = _split(text)
    if front.get("draft") is True:
        raise UnusableError("a draft, by its front matter")
    title = _text(front.get("title"))
    heading, rest = take_title(body, title)
    return Article(
        title=title or heading or title_from_url(url),
        content=normalise(rest) if rest.strip() else "",
        subtitle=_text(front.get("subtitle")),
        published=published(front.get("published", front.get("date"))),
        language=language(_text(front.get("language", front.get("lang")))),
        tags=tags(front.get("tags")),
    )


def _split(text: str) -> tuple[dict[str, Any], str]:
    import yaml
    from frontmatter.default_handlers import YAMLHandler

    handler = YAMLHandler()
    if not handler.detect(text):
        return {}, text
    try:
        block, body = handler.split(text)
    except ValueError:  # a rule at the top, and no second one
        return {}, text
    try:
        # Not libyaml: deep nesting makes it crash, and it refuses the surrogate pairs of JSON.
        front = handler.load(block, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError) as error:  # the latter for 2026-02-30
        reason = " ".join(str(error).split())[:200]
        raise UnusableError(f"front matter is not YAML: {reason}") from None
    if front is None:
        return {}, body
    if not isinstance(front, dict):
        # Left alone, it would vanish from the text.
        raise UnusableError("front matter is not a YAML mapping of keys to values")
    return front, body


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
    return re.sub(r"[-_\s]+", " ", stem).strip() or url


def published(value: object) -> datetime | None:
    """A date or time in whatever form it was given, as an aware time; None if it is none."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


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
