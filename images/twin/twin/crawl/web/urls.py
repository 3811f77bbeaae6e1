"""What a page is called: canonical URLs, and when two URLs are one page."""

import hashlib
import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from twin.stores.addresses import DEFAULT_PORTS

# Parameters that tell where a reader came from and nothing about what the page says.
_TRACKING = re.compile(
    r"utm_\w+|fbclid|gclid|dclid|gbraid|wbraid|msclkid|yclid|twclid|ttclid|li_fat_id|mc_[ce]id"
    r"|igshid|igsh|ref_src|_ga|_gl|_hsenc|_hsmi|mkt_tok|vero_id|oly_(anon|enc)_id"
)
_SUBSTACK = re.compile(
    r"r|s|publication_id|post_id|isFreemail|triedRedirect|showWelcomeOnShare|triggerShare"
)
_MEDIUM = re.compile(r"source|sk|gi")
_LINKEDIN = re.compile(r"trk|trackingId|lipi|originalSubdomain|published")
# A share of a Substack post carries its sharer's number in base 36.
_SUBSTACK_POST = re.compile(r"/p/[\w-]+/?")
_REFERRAL = re.compile(r"(^|&)r=[0-9a-z]{2,8}(&|$)")
#: Medium's articles end in their number in base 16; all else is lists, profiles and forms.
MEDIUM_ARTICLE = re.compile(r"[/-][0-9a-f]{8,12}/?$")
_INDEX_FILES = ("index.html", "index.htm", "index.php")
_INDEX_FILE = re.compile(r"/index\.(html?|php)$")


def canonical(url: str) -> str:
    """A URL as documents carry it: no fragment, tracking parameters, default port or case.

    What only some platforms mean as tracking is dropped only there: `r` of a Substack post (on
    substack.com, or by the post's path `/p/slug` and a value that is a reader's number), `source`
    of a Medium post. Elsewhere `?r=` may well say which page is meant.

    Raises:
        ValueError: not a URL.
    """
    parts = urlsplit(url.strip())
    host = (parts.hostname or "").lower()
    if ":" in host:
        host = f"[{host}]"
    if parts.port and parts.port != DEFAULT_PORTS.get(parts.scheme):
        host = f"{host}:{parts.port}"
    path = parts.path or "/"
    return urlunsplit((parts.scheme, host, path, _query(host, path, parts.query), ""))


def _query(host: str, path: str, query: str) -> str:
    """The query without what is tracking there; as it was written, if nothing is."""
    if not query:
        return ""
    patterns = [_TRACKING, *_of_platform(host, path, query)]
    pairs = parse_qsl(query, keep_blank_values=True)
    kept = [
        (key, value)
        for key, value in pairs
        if not any(pattern.fullmatch(key) for pattern in patterns)
    ]
    return query if len(kept) == len(pairs) else urlencode(kept)


def _of_platform(host: str, path: str, query: str) -> list[re.Pattern[str]]:
    if is_on(host, "substack.com"):
        return [_SUBSTACK]
    if is_on(host, "medium.com"):
        return [_MEDIUM]
    if is_on(host, "linkedin.com"):
        return [_LINKEDIN]
    if _SUBSTACK_POST.fullmatch(path) and _REFERRAL.search(query):
        return [_SUBSTACK]
    if MEDIUM_ARTICLE.search(path):  # a publication under a domain of its own
        return [_MEDIUM]
    return []


def page_key(url: str) -> str:
    """What URLs of one page have in common: they differ by scheme, ``www.``, a trailing slash or
    the name of the folder's index file."""
    parts = urlsplit(url)
    path = _INDEX_FILE.sub("/", parts.path).rstrip("/")
    return f"{parts.netloc.lower().removeprefix('www.')}{path}?{parts.query}"


def page_number(url: str) -> int:
    """`page_key` in 8 bytes, for who remembers the pages of a site: of a million, no two have the
    same number, but for a chance of one in thirty million."""
    key = page_key(url).encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest())


def spellings(url: str) -> set[str]:
    """Every canonical URL of the same page (`page_key`), the given one included."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        return {url}
    folder = _INDEX_FILE.sub("/", parts.path).rstrip("/")
    host = parts.netloc.removeprefix("www.")
    paths = {folder or "/", f"{folder}/", *(f"{folder}/{name}" for name in _INDEX_FILES)}
    return {url} | {
        urlunsplit((scheme, netloc, path, parts.query, ""))
        for scheme in ("http", "https")
        for netloc in (host, f"www.{host}")
        for path in paths
    }


def same_page(one: str, other: str) -> bool:
    """Whether two URLs differ only by scheme, ``www.`` or a trailing slash."""
    return page_key(one) == page_key(other)


def same_host(one: str, other: str) -> bool:
    """Whether two URLs are on one host, with or without ``www.``."""
    return host_of(one) == host_of(other)


def host_of(url: str) -> str:
    """Host and port of a URL without ``www.``."""
    return urlsplit(url).netloc.lower().removeprefix("www.")


def is_on(host: str, domain: str) -> bool:
    """Whether a host is this domain or one under it."""
    return host == domain or host.endswith(f".{domain}")
