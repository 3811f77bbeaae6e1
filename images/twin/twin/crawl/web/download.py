"""Scrapy's lowest layer: fetch from copies, and connect to no address that is refused.

Everything above it (robots.txt, redirects, throttling, the spider) sees public URLs only.
"""

import asyncio
from typing import Any, ClassVar

from scrapy.core.downloader.handlers.http11 import (  # noqa: TID253 - base class; imported lazily
    HTTP11DownloadHandler,
)
from scrapy.exceptions import CannotResolveHostError  # noqa: TID253 - as above
from scrapy.http import Request, Response  # noqa: TID253 - as above
from scrapy.resolver import CachingThreadedResolver  # noqa: TID253 - as above
from twisted.internet.defer import Deferred
from twisted.internet.error import DNSLookupError

from twin.crawl.web.site import HostCopies
from twin.stores.addresses import AddressGuard, RefusedAddressError, host_and_port
from twin.stores.guarded_client import UnknownHostError
from twin.stores.host_names import has_no_address, no_such_host

#: Setting of a crawler process: hosts that may resolve to addresses that are not public.
ALLOWED_HOSTS = "TWIN_ALLOWED_HOSTS"


class GuardedDownloadHandler(HTTP11DownloadHandler):
    """Downloads on behalf of a spider that has ``site`` and ``guard``.

    Redirects come through here too, so each hop is checked.
    """

    async def download_request(self, request: Request) -> Response:
        """Download a page, from its host's copy if it has one."""
        spider: Any = self._crawler.spider
        guard: AddressGuard = spider.guard
        copies: HostCopies = spider.site.copies
        url = copies.fetch_url(request.url)
        guard.check_url(url)
        await spider.pauses.wait(request.url)
        try:
            if url == request.url:
                response = await super().download_request(request)
            else:
                response = await self._download_copy(request, url, copies)
        except CannotResolveHostError:
            host = host_and_port(url)[0]
            if refusal := GuardedResolver.refusals.get(host):
                raise RefusedAddressError(refusal) from None
            if await asyncio.to_thread(has_no_address, host):
                raise UnknownHostError(no_such_host(host)) from None
            raise
        spider.pauses.heed(request, response)
        return response

    async def _download_copy(self, request: Request, url: str, copies: HostCopies) -> Response:
        # A proxy for the real host is no way to a copy.
        meta = {key: value for key, value in request.meta.items() if key != "proxy"}
        fetched = request.replace(url=url, meta=meta)
        response = await super().download_request(fetched)
        # AutoThrottle reads it from the request that it sent.
        request.meta["download_latency"] = fetched.meta.get("download_latency", 0)
        if location := response.headers.get("Location"):
            response.headers["Location"] = copies.public_url(location.decode("latin-1"))
        return response.replace(url=request.url, request=request)


class GuardedResolver(CachingThreadedResolver):
    """Resolves names to IPv4 addresses, and refuses those that are not public.

    The address it returns is the one that is connected to: there is no second look-up.
    """

    #: Name to why it was refused: Twisted tells its callers only that it found no address.
    refusals: ClassVar[dict[str, str]] = {}

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._guard = AddressGuard(())

    @classmethod
    def from_crawler(cls, crawler: Any, reactor: Any) -> "GuardedResolver":
        """Made by Scrapy, once a process."""
        resolver: GuardedResolver = super().from_crawler(crawler, reactor)
        hosts = crawler.settings.getlist(ALLOWED_HOSTS)
        resolver._guard = AddressGuard(f"{host}:*" for host in hosts)
        return resolver

    def getHostByName(self, name: str, timeout: Any = ()) -> "Deferred[str]":  # noqa: N802 - Twisted
        """Resolve a name; the Deferred fails if its address is refused."""
        found: Deferred[str] = super().getHostByName(name, timeout)
        return found.addCallback(self._checked, name)

    def _checked(self, address: str, name: str) -> str:
        try:
            self._guard.check_resolved(name, address)
        except RefusedAddressError as error:
            self.refusals[name] = str(error)
            raise DNSLookupError(str(error)) from None
        return address
