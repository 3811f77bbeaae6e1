"""What belongs to a web source: its hosts, its pages, and copies to fetch them from."""

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from twin.crawl.web.addresses import DEFAULT_PORTS, host_and_port
from twin.recipes import WebSource

# Parameters that tell where a reader came from and nothing about what the page says.
_TRACKING = re.compile(r"utm_\w+|fbclid|gclid|dclid|msclkid|mc_[ce]id|igshid|ref_src")


def canonical(url: str) -> str:
    """A URL as documents carry it: no fragment, tracking parameters, default port or case.

    Raises:
        ValueError: not a URL.
    """
    parts = urlsplit(url.strip())
    host = (parts.hostname or "").lower()
    if ":" in host:
        host = f"[{host}]"
    if parts.port and parts.port != DEFAULT_PORTS.get(parts.scheme):
        host = f"{host}:{parts.port}"
    query = parts.query
    if _TRACKING.search(query):
        pairs = parse_qsl(query, keep_blank_values=True)
        query = urlencode([(key, value) for key, value in pairs if not _TRACKING.fullmatch(key)])
    return urlunsplit((parts.scheme, host, parts.path or "/", query, ""))


def same_page(one: str, other: str) -> bool:
    """Whether two URLs differ only by scheme, ``www.`` or a trailing slash."""
    return _bare(one) == _bare(other)


def same_host(one: str, other: str) -> bool:
    """Whether two URLs are on one host, with or without ``www.``."""
    return _host(one) == _host(other)


def _bare(url: str) -> tuple[str, str, str]:
    parts = urlsplit(url)
    return parts.netloc.removeprefix("www."), parts.path.rstrip("/"), parts.query


class HostCopies:
    """Hosts whose pages are fetched from a copy elsewhere, yet keep their own names."""

    def __init__(self, hosts: dict[str, str]) -> None:
        self._bases = {host.lower(): base.rstrip("/") for host, base in hosts.items()}

    @property
    def addresses(self) -> tuple[str, ...]:
        """``host:port`` of the copies. Naming a copy in the recipe allows fetching from it."""
        pairs = (host_and_port(base) for base in self._bases.values())
        return tuple(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in pairs
        )

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that have a copy."""
        return tuple(self._bases)

    def fetch_url(self, url: str) -> str:
        """Where to fetch a page: on the copy if its host has one, else where it is."""
        parts = urlsplit(url)
        base = self._bases.get((parts.hostname or "").lower())
        if base is None:
            return url
        rest = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        return base + rest

    def public_url(self, url: str) -> str:
        """The name of a page that is spoken of by its address on the copy."""
        for host, base in self._bases.items():
            if url == base or url.startswith(f"{base}/"):
                return f"https://{host}{url.removeprefix(base) or '/'}"
        return url


class Site:
    """Decides which URLs a web source fetches and which of them are its documents."""

    def __init__(self, source: WebSource) -> None:
        self.copies = HostCopies(source.hosts)
        self._include = [re.compile(pattern) for pattern in source.include]
        self._exclude = [re.compile(pattern) for pattern in source.exclude]
        entries = (*source.start_urls, *source.sitemaps, *source.feeds)
        self._hosts = {_host(self.canonical(entry)) for entry in entries}

    @property
    def host_names(self) -> list[str]:
        """Names of the source's hosts, without ports."""
        return sorted({host_and_port(f"http://{host}")[0] for host in self._hosts})

    def canonical(self, url: str) -> str:
        """The name of the page at ``url``; of its original, if that is on a copy."""
        return canonical(self.copies.public_url(url))

    def is_ours(self, url: str) -> bool:
        """Whether a URL is on one of the source's own hosts (with or without ``www.``)."""
        return _host(url) in self._hosts

    def may_fetch(self, url: str) -> bool:
        """Whether a URL is ours and not excluded."""
        return self.is_ours(url) and not any(pattern.search(url) for pattern in self._exclude)

    def is_expected(self, url: str) -> bool:
        """Whether the recipe's ``include`` says that this page is a document."""
        return any(pattern.search(url) for pattern in self._include)

    def may_be_document(self, url: str) -> bool:
        """Whether a page may become a document: included, or nothing is said of inclusion."""
        return not self._include or self.is_expected(url)


def _host(url: str) -> str:
    return urlsplit(url).netloc.lower().removeprefix("www.")
