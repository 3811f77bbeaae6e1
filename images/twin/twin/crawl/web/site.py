"""What belongs to a web source: its hosts, its pages, and copies to fetch them from."""

import re
from urllib.parse import urlsplit, urlunsplit

from twin.crawl.web.urls import canonical, host_of
from twin.recipes import SiteSource, WebSource
from twin.stores.addresses import host_and_port


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

    def __init__(self, source: SiteSource) -> None:
        self.copies = HostCopies(source.hosts)
        include = source.include if isinstance(source, WebSource) else ()
        self._include = [re.compile(pattern) for pattern in include]
        self._exclude = [re.compile(pattern) for pattern in source.exclude]
        entries = [canonical(self.copies.public_url(entry)) for entry in source.entries]
        self._hosts = {host_of(entry) for entry in entries}
        self._secure = {host_of(entry) for entry in entries if entry.startswith("https:")}

    @property
    def host_names(self) -> list[str]:
        """Names of the source's hosts, without ports."""
        return sorted({host_and_port(f"http://{host}")[0] for host in self._hosts})

    def canonical(self, url: str) -> str:
        """The name of the page at ``url``; of its original, if that is on a copy.

        On a host that the recipe names with https, links with http mean the same page.
        """
        name = canonical(self.copies.public_url(url))
        if name.startswith("http:") and host_of(name) in self._secure:
            return f"https{name.removeprefix('http')}"
        return name

    def is_ours(self, url: str) -> bool:
        """Whether a URL is on one of the source's own hosts (with or without ``www.``)."""
        return host_of(url) in self._hosts

    def may_fetch(self, url: str) -> bool:
        """Whether a URL is ours and not excluded."""
        return self.is_ours(url) and not any(pattern.search(url) for pattern in self._exclude)

    def is_expected(self, url: str) -> bool:
        """Whether the recipe's ``include`` says that this page is a document."""
        return any(pattern.search(url) for pattern in self._include)

    def may_be_document(self, url: str) -> bool:
        """Whether a page may become a document: included, or nothing is said of inclusion."""
        return not self._include or self.is_expected(url)
