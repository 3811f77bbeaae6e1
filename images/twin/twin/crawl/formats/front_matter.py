"""Front matter of site generators: YAML, TOML or JSON at a file's beginning, broken ones too.

Hugo, Jekyll, Eleventy, Hexo, Zola, Astro and Pelican write it. Keys are lower case here, whatever
they are in the file. What cannot be parsed is read line by line, so that a title with a colon in it
costs neither the text nor the word that says that it is a draft.
"""

import json
import re
import tomllib
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

UNPUBLISHED = "not published"
"""How the reason begins of every page that its site does not publish."""

NOT_YET = f"{UNPUBLISHED} yet"
"""How the reason begins of a page that becomes one by itself, when its day comes."""

#: Opening lines, the lines that close them, and what stands between: Eleventy names the language.
_FENCES = {
    "---": (("---", "..."), "yaml"),
    "---yaml": (("---",), "yaml"),
    "---toml": (("---",), "toml"),
    "---json": (("---",), "json"),
    "+++": (("+++",), "toml"),
    ";;;": ((";;;",), "json"),
}

_LINE = re.compile(r"[ \t]*\"?(?P<key>[A-Za-z_][\w -]{0,60}?)\"?[ \t]*[:=][ \t]*(?P<value>.*)")

#: Keys by which a block without delimiters (Pelican, MultiMarkdown) is known.
_KNOWN = frozenset({
    "title", "date", "slug", "author", "authors", "tags", "category", "categories", "layout",
    "status", "draft", "published", "summary", "description", "lang", "language", "modified",
})  # fmt: skip

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})

#: Values of `status` (Pelican, Ghost, WordPress) under which nobody reads a page.
_HIDDEN = frozenset({"draft", "hidden", "private", "scheduled", "pending", "trash", "skip"})

#: Characters of a value that is read from its line alone: a title, a date, some tags.
_LONGEST = 500

_DATED = re.compile(r"(\d{4})-(\d{2})-(\d{2})-(?=.)")


def split(text: str) -> tuple[dict[str, Any], str]:
    """What the front matter says, and the text below it; nothing and the text if there is none."""
    text = text.removeprefix("\ufeff")
    first, _, rest = text.partition("\n")
    opening = first.rstrip().lower().replace(" ", "")
    if opening in _FENCES:
        return _fenced(text, opening, rest)
    if opening == "{" or opening.startswith('{"'):
        return _json_object(text)
    return _bare(text)


def _fenced(text: str, opening: str, rest: str) -> tuple[dict[str, Any], str]:
    ends, language = _FENCES[opening]
    position = 0
    for line in rest.splitlines(keepends=True):
        if line.rstrip() in ends:
            front = _parsed(rest[:position], language)
            # Two rules around a sentence are no front matter.
            return ({}, text) if front is None else (front, rest[position + len(line) :])
        position += len(line)
    block = rest.partition("\n\n")[0]  # nobody closed it: its lines, up to the first blank one
    front = _by_lines(block)
    return (front, rest[len(block) :]) if _KNOWN & front.keys() else ({}, text)


def _json_object(text: str) -> tuple[dict[str, Any], str]:
    try:
        front, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return {}, text
    if not isinstance(front, dict) or not _KNOWN & {str(key).lower() for key in front}:
        return {}, text
    return _lowered(front), text[end:]


def _bare(text: str) -> tuple[dict[str, Any], str]:
    """Lines of keys at the very beginning, up to a blank line: Pelican's Markdown."""
    block = text[:4_000].partition("\n\n")[0]
    lines = block.splitlines()
    if not lines or not all(_LINE.match(line) or line.startswith("    ") for line in lines):
        return {}, text
    front = _by_lines(block)
    known = _KNOWN & front.keys()
    return (front, text[len(block) :]) if "title" in known and len(known) > 1 else ({}, text)


def _parsed(block: str, language: str) -> dict[str, Any] | None:
    """The keys of a block; None if it says none."""
    if not block.strip():
        return {}
    try:
        front = _load(block, language)
    except (ValueError, RecursionError):
        front = None
    if isinstance(front, dict):
        return _lowered(front)
    return _by_lines(block) or None


def _load(block: str, language: str) -> Any:
    if language == "toml":
        return tomllib.loads(block.replace("\r\n", "\n"))
    if language == "json":
        return json.loads(block if block.lstrip().startswith("{") else f"{{{block}}}")
    import yaml

    try:
        # Not libyaml: deep nesting makes it crash, and it refuses the surrogate pairs of JSON.
        return yaml.safe_load(block)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _by_lines(block: str) -> dict[str, Any]:
    """Keys and values of lines that have one: what is left of a block that has a fault."""
    found: dict[str, Any] = {}
    for line in block.splitlines():
        if (match := _LINE.match(line)) and not line.startswith(("    ", "\t")):
            found.setdefault(match["key"].strip().lower(), _plain(match["value"].strip()))
    return found


def _plain(value: str) -> str | list[str] | None:
    """A value of a line by itself: a text or a list of texts; None for what goes on elsewhere."""
    value = value.rstrip(",")
    if len(value) > _LONGEST:
        return None
    if value.startswith("[") and value.endswith("]"):
        return [item.strip().strip("\"'") for item in value[1:-1].split(",")]
    return None if value[:1] in set("[{|>&*!") else value.strip("\"'")


def _lowered(front: dict[Any, Any]) -> dict[str, Any]:
    return {str(key).lower(): value for key, value in front.items()}


def why_unpublished(front: dict[str, Any], url: str, now: datetime) -> str | None:
    """Why its site does not publish a page, in words; None if it does.

    Args:
        front: as by `split`.
        url: of the file; Jekyll and Hexo keep drafts in folders.
        now: what lies ahead of it is not published yet.
    """
    if _is(front.get("draft"), _TRUE):
        return f"{UNPUBLISHED}: a draft, by its front matter"
    if _is(front.get("published"), _FALSE):
        return f"{UNPUBLISHED}, by its front matter (published: false)"
    status = str(front.get("status", "")).strip().lower()
    if status in _HIDDEN:
        return f"{UNPUBLISHED}, by its front matter (status: {status})"
    if _is(front.get("eleventyexcludefromcollections"), _TRUE) or front.get("permalink") is False:
        return f"{UNPUBLISHED}: left out of its site, by its front matter"
    folders = PurePosixPath(unquote(urlsplit(url).path)).parts[:-1]
    if "_drafts" in folders:
        return f"{UNPUBLISHED}: a draft, by its folder _drafts"
    return _why_not_now(front, now)


def _why_not_now(front: dict[str, Any], now: datetime) -> str | None:
    begins = first_time(front, "publishdate", "pubdate", "published", "published_at", "date")
    if begins and begins > now:
        return f"{NOT_YET}: it is dated {begins:%Y-%m-%d}"
    ends = expires(front)
    if ends and ends <= now:
        return f"{UNPUBLISHED} any more: it expired on {ends:%Y-%m-%d}"
    return None


def expires(front: dict[str, Any]) -> datetime | None:
    """When its site stops publishing a page."""
    return first_time(front, "expirydate", "unpublishdate", "expires", "expired")


def _is(value: object, words: frozenset[str]) -> bool:
    return str(value).strip().lower() in words


def first_time(front: dict[str, Any], *keys: str) -> datetime | None:
    """The first of these keys that holds a time."""
    return next((time for key in keys if (time := time_of(front.get(key)))), None)


def time_of(value: object, read: Callable[[str], datetime | None] | None = None) -> datetime | None:
    """A date or time in whatever form it was given, as an aware time; None if it is none.

    Args:
        value: as a parser gave it.
        read: reads a text; by default ISO 8601, Ruby's form of it, and dates in words.
    """
    if isinstance(value, str):
        value = (read or _time_in)(value.strip())
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def iso_time(text: str) -> datetime | None:
    """A text in ISO 8601 as a time; None if it is none."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _time_in(text: str) -> datetime | None:
    # As Ruby writes it: 2024-03-05 10:00:00 +0100
    time = iso_time(re.sub(r"(?<=\d) (?=[+-]\d{2}:?\d{2}$)", "", text))
    if time or not re.search(r"\d", text) or len(text) > 60:
        return time
    import dateparser

    # Of "March 2024" the day is not known: then there is no date.
    found: datetime | None = dateparser.parse(text, settings={"STRICT_PARSING": True})
    return found


def date_in_name(url: str) -> datetime | None:
    """The day that Jekyll has in a post's file name, as in ``2024-03-05-two-ledgers.md``."""
    match = _DATED.match(PurePosixPath(unquote(urlsplit(url).path)).name)
    if not match:
        return None
    try:
        return datetime(int(match[1]), int(match[2]), int(match[3]), tzinfo=UTC)
    except ValueError:
        return None
