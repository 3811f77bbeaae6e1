"""Pages that only a browser can read, in a browser that cannot reach the network.

A page's scripts are an outsider's program. Chromium would resolve names itself, and playwright
sees no request that a redirect leads to, so neither can be trusted to keep to public addresses.
Hence Chromium is started with every way out closed, and each request that a page makes is
answered here, by Scrapy's own downloader: with the guard, robots.txt, throttling and the limits
that hold for every other request of the crawl. What cannot be answered like that (web sockets,
WebRTC, service workers) fails.
"""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from playwright.async_api import TimeoutError as PlaywrightTimeoutError
from scrapy import Request  # noqa: TID253 - base classes; imported lazily by Scrapy's settings
from scrapy.exceptions import IgnoreRequest  # noqa: TID253 - as above
from scrapy.http import HtmlResponse, Response  # noqa: TID253 - as above
from scrapy_playwright.handler import ScrapyPlaywrightDownloadHandler

from twin.crawl.web.browser_flags import IN_A_POD, NO_NETWORK
from twin.crawl.web.download import GuardedDownloadHandler
from twin.crawl.web.page_spider import IN_BROWSER

#: What a text does not need.
BLOCKED = frozenset({"image", "media", "font", "manifest", "texttrack", "eventsource", "ping"})
REQUESTS_PER_PAGE = 100
#: A page that has asked for nothing as long as this, in seconds, is done.
QUIET_SECONDS = 0.5
CLOSING_SECONDS = 5.0
VISIT = "browser_visit"


def browser_settings(chromium: Path, url: str | None, timeout_seconds: int) -> dict[str, Any]:
    """Scrapy's settings for a source whose pages need the browser.

    Args:
        chromium: to start.
        url: of one that runs already (`twin.crawl.web.browser_apart`), in its place.
        timeout_seconds: of a page.
    """
    handler = "twin.crawl.web.browser.BrowserDownloadHandler"
    return {
        "DOWNLOAD_HANDLERS": {"http": handler, "https": handler, "ftp": None, "file": None,
                              "data": None, "s3": None},
        "PLAYWRIGHT_BROWSER_TYPE": "chromium",
        **_reached(chromium, url),
        "PLAYWRIGHT_DEFAULT_NAVIGATION_TIMEOUT": timeout_seconds * 1_000,
        "PLAYWRIGHT_MAX_PAGES_PER_CONTEXT": 2,
    }  # fmt: skip


def _reached(chromium: Path, url: str | None) -> dict[str, Any]:
    if url:
        return {"PLAYWRIGHT_CDP_URL": url}
    return {
        "PLAYWRIGHT_LAUNCH_OPTIONS": {
            "executable_path": str(chromium),
            "args": [*NO_NETWORK, *IN_A_POD],
            "timeout": 60_000,
        }
    }


class BrowserDownloadHandler(ScrapyPlaywrightDownloadHandler):
    """Downloads as `GuardedDownloadHandler` does, and has pages run in the browser after that."""

    def __init__(self, crawler: Any) -> None:
        super().__init__(crawler)
        self._guarded = GuardedDownloadHandler(crawler)
        self._timeout = crawler.settings.getint("DOWNLOAD_TIMEOUT")
        self._max_bytes = crawler.settings.getint("DOWNLOAD_MAXSIZE")

    async def close(self) -> None:
        """Close the connections and the browser."""
        await self._guarded.close()
        await super().close()

    async def download_request(self, request: Request) -> Response:
        """Download a page; an HTML page is what its scripts have made of it."""
        if not request.meta.get(IN_BROWSER):
            return await self._guarded.download_request(request)
        # Uncompressed, since Scrapy decompresses later than this.
        plain = request.replace(headers={**request.headers, b"Accept-Encoding": b"identity"})
        response = await self._guarded.download_request(plain)
        request.meta["download_latency"] = plain.meta.get("download_latency", 0)
        is_page = response.status == 200 and isinstance(response, HtmlResponse)
        if not is_page or response.headers.get("Content-Encoding"):
            return response.replace(request=request)
        return await self._run(request, response)

    async def _run(self, request: Request, response: Response) -> Response:
        visit = Visit(self._crawler, response, self._max_bytes, self._timeout)
        inner = Request(
            request.url,
            dont_filter=True,
            meta={
                "playwright": True,
                "playwright_context_kwargs": {
                    "service_workers": "block", "accept_downloads": False,
                    "java_script_enabled": True, "user_agent": _user_agent(request),
                },
                "playwright_page_init_callback": visit.begin,
                # Whether a page has loaded is told by its requests: some never say so.
                "playwright_page_goto_kwargs": {"wait_until": "commit"},
                VISIT: visit,
            },
        )  # fmt: skip
        try:
            limit = 2 * self._timeout + CLOSING_SECONDS
            made = await asyncio.wait_for(super().download_request(inner), limit)
        except (TimeoutError, PlaywrightTimeoutError):  # trying again would end in the same
            raise IgnoreRequest("its scripts did not end in time") from None
        finally:
            await visit.end()
        headers = response.headers.copy()
        headers["Content-Type"] = "text/html; charset=utf-8"
        body = made.text.encode()
        return HtmlResponse(
            request.url, status=200, headers=headers, body=body, encoding="utf-8", request=request
        )

    async def _apply_page_methods(self, page: Any, request: Request, _: Any) -> None:
        await request.meta[VISIT].settle(page)


class Visit:
    """One page in the browser: answers everything it asks for.

    Args:
        crawler: whose downloader fetches.
        response: the page itself, fetched already.
        max_bytes: of all that the page may load, itself included.
        timeout: how long it may take to do so, in seconds.
    """

    def __init__(self, crawler: Any, response: Response, max_bytes: int, timeout: float) -> None:
        self._crawler = crawler
        self._response = response
        self._bytes_left = max_bytes - len(response.body)
        self._requests_left = REQUESTS_PER_PAGE
        self._timeout = timeout
        self._fetching = 0
        self._shown = False
        self._page: Any = None

    async def begin(self, page: Any, _: Request) -> None:
        """Take over the page's requests. Of several routes, the last one registered is asked."""
        self._page = page
        page.on("popup", _close)
        await page.route("**", self._answer)

    async def settle(self, page: Any) -> None:
        """Wait until the page asks for nothing more, but not for ever."""
        end = time.monotonic() + self._timeout
        with suppress(Exception):  # a page that is never ready is read as it is
            await page.wait_for_load_state("domcontentloaded", timeout=self._timeout * 1_000)
        last = time.monotonic()
        while (now := time.monotonic()) < end and now - last < QUIET_SECONDS:
            if self._fetching:
                last = now
            await asyncio.sleep(QUIET_SECONDS / 10)

    async def end(self) -> None:
        """Close the page if it is still open, even if a script keeps it busy."""
        if self._page is not None and not self._page.is_closed():
            with suppress(Exception):
                await asyncio.wait_for(self._page.close(), CLOSING_SECONDS)

    async def _answer(self, route: Any, asked: Any) -> None:
        with suppress(Exception):  # the page may be closed while it waits for an answer
            if self._shown and self._is_leaving(asked):
                await route.abort("aborted")  # as if the reader had: the page stays
                return
            response = await self._response_to(asked)
            if response is None:
                await route.abort()
                return
            await route.fulfill(
                status=response.status,
                headers=_headers(response),
                body=response.body,
            )

    def _is_leaving(self, asked: Any) -> bool:
        """Whether a script sends the page elsewhere: that would be another page."""
        return bool(asked.is_navigation_request() and asked.frame == self._page.main_frame)

    async def _response_to(self, asked: Any) -> Response | None:
        """What a request of the page gets; None if it is refused."""
        if not self._shown and asked.is_navigation_request():
            self._shown = True
            return self._response
        if asked.method != "GET" or asked.resource_type in BLOCKED or self._requests_left <= 0:
            return None
        if not asked.url.startswith(("http://", "https://")):
            return None
        self._requests_left -= 1
        self._fetching += 1
        try:
            return await self._fetch(asked.url)
        finally:
            self._fetching -= 1

    async def _fetch(self, url: str) -> Response | None:
        request = Request(
            url,
            dont_filter=True,
            meta={
                "allow_offsite": True,
                # Not the page's own slot: it is taken until the page is done.
                "download_slot": f"browser {url.split('/')[2]}",
                "download_maxsize": max(self._bytes_left, 1),
                "handle_httpstatus_all": True,
                "max_retry_times": 0,
            },
        )
        try:
            response: Response = await self._crawler.engine.download_async(request)
        except Exception:  # whatever it is, the page's script sees a request that failed
            return None
        self._bytes_left -= len(response.body)
        return response if self._bytes_left >= 0 else None


async def _close(page: Any) -> None:
    """Close a window that a page has opened."""
    with suppress(Exception):
        await page.close()


def _headers(response: Response) -> dict[str, str]:
    """The headers that matter to a browser; the body was decompressed."""
    kept = ("Content-Type", "Access-Control-Allow-Origin", "Content-Security-Policy")
    found = {name: response.headers.get(name) for name in kept}
    headers = {name: value.decode("latin-1") for name, value in found.items() if value}
    headers.setdefault("Content-Type", "text/plain")
    return headers


def _user_agent(request: Request) -> str:
    agent = request.headers.get("User-Agent", b"")
    return agent.decode("latin-1") if agent else "llm-twin"
