"""Which platform a text was published on, and what the platform or site is called."""

from urllib.parse import urlsplit

from twin.crawl.web.urls import is_on
from twin.recipes import SiteSource, Source

#: Domain to the platform's name.
DOMAINS = {
    "substack.com": "substack",
    "medium.com": "medium",
    "linkedin.com": "linkedin",
    "github.com": "github",
}


def platform_of(source: Source, url: str) -> str:
    """Where a document was published: the source's platform, or what its host is known as."""
    if source.kind != "web":
        return source.platform
    host = (urlsplit(url).hostname or "").lower()
    return next((name for domain, name in DOMAINS.items() if is_on(host, domain)), source.platform)


def names_of_site(source: Source) -> set[str]:
    """What a byline may say that is the site and no person: its host, with and without its top
    level, and the platform."""
    names = set(DOMAINS.values())
    if isinstance(source, SiteSource):
        for url in source.entries:
            host = (urlsplit(url).hostname or "").removeprefix("www.")
            names |= {host, host.rpartition(".")[0]}
    return names - {""}
