"""From a link that somebody pasted to the source it means.

A link to one post means that post and nothing else; a link to a publication, a profile, a user, a
feed or a site's home page means all of it.
"""

import hashlib
import re
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import TypeAdapter, ValidationError

from twin.crawl.web.urls import MEDIUM_ARTICLE, canonical, is_on
from twin.domain.errors import BadDataError
from twin.recipes import SOURCE_KINDS, Source

_FEED = re.compile(r"/(feed|rss|atom|feeds)/?$|\.(rss|atom)$|(feed|rss|atom|index)\.xml$")
_SITEMAP = re.compile(r"sitemap[^/]*\.xml(\.gz)?$")
_SUBSTACK_LISTS = frozenset({"", "archive", "about", "podcast", "s", "subscribe"})
#: Hosts of Substack itself, which are no publication.
_SUBSTACK_OWN = frozenset({"substack.com", "www.substack.com"})
_GITHUB_OWN = frozenset(
    {"about", "features", "marketplace", "orgs", "search", "settings", "topics", "trending"}
)
LONGEST_SLUG = 28


def source_of_link(url: str) -> Source:
    """The source that a link means, under a name that is the same for the same link.

    Raises:
        BadDataError: it is no link of the web, or leads to what cannot or must not be crawled;
            the message says what to give instead.
    """
    try:
        name = canonical(url)
        parts = urlsplit(name)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("not of the web")
    except ValueError:
        raise BadDataError(
            f"link {url!r}: give a whole address, as https://example.org/post"
        ) from None
    data = _fields(name, parts)
    if data["kind"] not in SOURCE_KINDS:
        raise BadDataError(f"link {url}: sources of kind {data['kind']} are not installed")
    try:
        source: Source = TypeAdapter(Source).validate_python({"name": _slug(name, parts), **data})
    except ValidationError as error:
        raise BadDataError(f"link {url}: {error.errors()[0]['msg']}") from None
    return source


def _fields(url: str, parts: SplitResult) -> dict[str, Any]:
    host = parts.hostname or ""
    for domain, fields in (
        ("substack.com", _substack),
        ("medium.com", _medium),
        ("linkedin.com", _linkedin),
        ("github.com", _github),
    ):
        if is_on(host, domain):
            return fields(url, parts)
    return _web(url, parts)


def _web(url: str, parts: SplitResult) -> dict[str, Any]:
    if _SITEMAP.search(parts.path):
        return {"kind": "web", "sitemaps": [url], "follow_links": False}
    if _FEED.search(parts.path):
        return {"kind": "web", "feeds": [url], "follow_links": False}
    whole_site = parts.path == "/" and not parts.query
    return {"kind": "web", "start_urls": [url], "follow_links": whole_site}


def _substack(url: str, parts: SplitResult) -> dict[str, Any]:
    path = parts.path.strip("/").split("/")
    if parts.hostname == "open.substack.com" and path[0] == "pub" and len(path) > 1:
        return _substack_of(f"https://{path[1]}.substack.com", path[2:])
    if parts.hostname in _SUBSTACK_OWN:
        if path[0].startswith("@") and len(path) == 1:
            raise BadDataError(
                f"link {url}: a profile may have several publications; give the address of one, "
                "as https://name.substack.com"
            )
        return _web(url, parts)
    return _substack_of(f"{parts.scheme}://{parts.netloc}", path)


def _substack_of(base: str, path: list[str]) -> dict[str, Any]:
    if path[:1] == ["p"] and len(path) > 1:
        return {"kind": "substack", "url": base, "posts": [f"{base}/p/{path[1]}"]}
    if not path or path[0] in _SUBSTACK_LISTS:
        return {"kind": "substack", "url": base}
    url = f"{base}/{'/'.join(path)}"
    return _web(url, urlsplit(url))


def _medium(url: str, parts: SplitResult) -> dict[str, Any]:
    path = parts.path.strip("/").split("/")
    if MEDIUM_ARTICLE.search(parts.path):
        return {"kind": "medium", "articles": [url]}
    if path[0] == "feed":
        path = path[1:] or [""]
    if len(path) > 1 and path[1] not in {"about", "followers", "lists"}:
        return _web(url, parts)
    return {"kind": "medium", "url": f"{parts.scheme}://{parts.netloc}/{path[0]}"}


def _linkedin(url: str, parts: SplitResult) -> dict[str, Any]:
    if parts.path.startswith("/pulse/"):
        return {"kind": "web", "start_urls": [url], "follow_links": False}
    raise BadDataError(
        f"link {url}: LinkedIn forbids crawling, but for its public articles (…/pulse/…); posts "
        "come from the member's own data export, with a source of kind linkedin_export"
    )


def _github(url: str, parts: SplitResult) -> dict[str, Any]:
    path = parts.path.strip("/").split("/")
    if parts.hostname not in {"github.com", "www.github.com"} or path[0] in {"", *_GITHUB_OWN}:
        return _web(url, parts)
    fields: dict[str, Any] = {"kind": "github", "user": path[0]}
    if len(path) > 1:
        fields["repositories"] = [path[1].removesuffix(".git")]
    if len(path) > 4 and path[2] == "blob":
        fields["include"] = ["/".join(path[4:])]
    return fields


def _slug(url: str, parts: SplitResult) -> str:
    """A source's name that people can read and no other link has."""
    text = f"{(parts.hostname or '').removeprefix('www.')} {parts.path}"
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:LONGEST_SLUG].strip("-")
    return f"link-{words}-{hashlib.sha256(url.encode()).hexdigest()[:6]}"
