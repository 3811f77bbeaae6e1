"""Sitemaps as they come: packed or not, of pages or of other sitemaps (sitemaps.org protocol)."""

import zlib

from scrapy.http import Response  # noqa: TID253 - imported by the spiders, lazily
from scrapy.utils.gz import gunzip, gzip_magic_number  # noqa: TID253 - as above
from scrapy.utils.sitemap import Sitemap  # noqa: TID253 - as above

from twin.crawl.page import UnusableError
from twin.crawl.web.download_errors import TOO_LARGE

NO_SITEMAP = "is no sitemap"


def read_sitemap(response: Response, max_bytes: int) -> Sitemap:
    """A sitemap or an index of sitemaps, packed or not.

    Raises:
        UnusableError: it is something else, or unpacks to more than ``max_bytes``.
    """
    body = response.body
    try:
        if gzip_magic_number(response):
            body = gunzip(body, max_size=max_bytes)
    except ValueError:
        raise UnusableError(TOO_LARGE) from None
    except (OSError, EOFError, zlib.error):
        raise UnusableError(NO_SITEMAP) from None
    try:
        sitemap = Sitemap(body)
    except (ValueError, StopIteration, SyntaxError):
        raise UnusableError(NO_SITEMAP) from None
    if sitemap.type not in {"urlset", "sitemapindex"}:
        raise UnusableError(NO_SITEMAP)
    return sitemap
