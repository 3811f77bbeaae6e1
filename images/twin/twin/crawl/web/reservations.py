"""What the answers of a site reserve, its TDM declaration included."""

import asyncio
from urllib.parse import urlsplit

from scrapy.crawler import Crawler  # noqa: TID253 - this module is imported lazily
from scrapy.http import Request, Response  # noqa: TID253 - as above
from scrapy.http.request import NO_CALLBACK  # noqa: TID253 - as above

from twin.crawl.rights import (
    TDM,
    TDM_DECLARATION,
    TdmDeclaration,
    reserved_by_robots,
    reserved_by_tdm_header,
)
from twin.crawl.web.urls import same_host


class Reservations:
    """Reads headers, and each host's declaration once a crawl, when its first page has come."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._declarations: dict[str, asyncio.Task[TdmDeclaration]] = {}

    async def of(self, response: Response, page: str | None = None) -> tuple[str, ...]:
        """What the headers of an answer, or its host's declaration, reserve; sorted.

        Args:
            page: what the answer has the text of, if that is another page: its item in a feed.
        """
        found = reserved_by_robots(_values(response, "X-Robots-Tag"))
        found |= reserved_by_tdm_header(_values(response, "TDM-Reservation"))
        declaration = await self._declaration(response.url)
        urls = [response.url]
        if page is not None and same_host(page, response.url):
            urls.append(page)
        if any(map(declaration.reserves, urls)):
            found.add(TDM)
        return tuple(sorted(found))

    async def _declaration(self, url: str) -> TdmDeclaration:
        parts = urlsplit(url)
        host = f"{parts.scheme}://{parts.netloc}"
        if host not in self._declarations:
            self._declarations[host] = asyncio.ensure_future(self._fetch(host + TDM_DECLARATION))
        return await self._declarations[host]

    async def _fetch(self, url: str) -> TdmDeclaration:
        """A site that has none, or cannot say, declares nothing."""
        request = Request(
            url, callback=NO_CALLBACK, priority=1000,
            meta={"dont_obey_robotstxt": True, "dont_retry": True},
        )  # fmt: skip
        engine = self._crawler.engine
        if engine is None:
            return TdmDeclaration(b"")
        try:
            response = await engine.download_async(request)
        except Exception:  # whatever it is, the pages themselves will tell
            return TdmDeclaration(b"")
        return TdmDeclaration(response.body if response.status == 200 else b"")


def _values(response: Response, header: str) -> list[str]:
    return [value.decode("latin-1") for value in response.headers.getlist(header)]
