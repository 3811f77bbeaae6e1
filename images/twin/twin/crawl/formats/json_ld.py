"""What a page says of its article as JSON-LD (schema.org)."""

import html
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_ARTICLE_TYPES = re.compile(r"(?:Article|Posting|Report|Review|BlogPost|LiveBlogUpdate)$")


def article_of(tree: "HtmlElement") -> dict[str, Any]:
    """The article among a page's JSON-LD; of several the one with the most text."""
    data = [
        _load(script.text)
        for script in tree.iter("script")
        if "ld+json" in (script.get("type") or "").lower() and script.text
    ]
    articles = [article for item in data for article in _articles_in(item, 0)]
    article = max(articles, key=lambda one: len(str(one.get("articleBody", ""))), default={})
    if "author" not in article:
        return article
    named = {node["@id"]: node for item in data for node in _named_in(item, 0)}
    return {**article, "author": _looked_up(article["author"], named)}


def _named_in(data: object, depth: int) -> Iterator[dict[str, Any]]:
    """What a page's JSON-LD gives an id and a name, so that other parts of it may refer to it."""
    if depth > 4:
        return
    if isinstance(data, dict):
        if isinstance(data.get("@id"), str) and data.get("name"):
            yield data
        data = list(data.values())
    for item in data if isinstance(data, list) else ():
        yield from _named_in(item, depth + 1)


def _looked_up(value: object, named: dict[str, dict[str, Any]]) -> object:
    """A value, with what it only refers to (``{"@id": …}``) in full."""
    if isinstance(value, list):
        return [_looked_up(item, named) for item in value]
    if isinstance(value, dict) and not value.get("name") and isinstance(value.get("@id"), str):
        return named.get(value["@id"], value)
    return value


def _load(text: str) -> object:
    text = text.strip().removeprefix("<!--").removesuffix("-->").strip().rstrip(";")
    text = re.sub(r"^\s*(?://)?\s*<!\[CDATA\[|(?://)?\s*\]\]>\s*$", "", text)
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _articles_in(data: object, depth: int) -> Iterator[dict[str, Any]]:
    if depth > 4:
        return
    if isinstance(data, list):
        for item in data:
            yield from _articles_in(item, depth + 1)
    elif isinstance(data, dict):
        kinds = data.get("@type")
        names = kinds if isinstance(kinds, list) else [kinds]
        if any(isinstance(name, str) and _ARTICLE_TYPES.search(name) for name in names):
            yield data
        for key in ("@graph", "mainEntity", "mainEntityOfPage"):
            if isinstance(data.get(key), (dict, list)):
                yield from _articles_in(data[key], depth + 1)


def strings_of(value: object) -> Iterator[str]:
    """Strings of a JSON-LD value, which may be one, a list, or an object with a name."""
    if isinstance(value, str):
        text = " ".join(html.unescape(value).split())
        if text:
            yield text
    elif isinstance(value, list):
        for item in value:
            yield from strings_of(item)
    elif isinstance(value, dict):
        yield from strings_of(value.get("name") or value.get("@value") or value.get("url"))


def first_of(value: object) -> str | None:
    """The first of them; None if there is none."""
    return next(strings_of(value), None)
