"""A browser in a process, and on a cluster in a container, of its own (`twin crawl browser`).

Who breaks out of a page is then where the browser is, and nothing else: no credential of the crawl,
none of its files. A crawl reaches it by Chromium's DevTools protocol, over loopback.
"""

import http.client
import os
import time
import urllib.request
from pathlib import Path
from tempfile import mkdtemp
from typing import NoReturn

from twin.crawl.web.browser_flags import IN_A_POD, NO_NETWORK
from twin.domain.errors import BadConfigurationError, TryAgainError

#: Seconds that a crawl waits for the browser, which starts at the same time.
SECONDS_TO_START = 60.0

_BY_ITSELF = (
    "--headless",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-breakpad",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--mute-audio",
    "--remote-debugging-address=127.0.0.1",
)


def run_browser(chromium: Path, port: int) -> NoReturn:
    """Become a browser that listens on this port of loopback, with every other way out closed.

    Raises:
        BadConfigurationError: there is no such browser.
    """
    if not chromium.is_file():
        raise BadConfigurationError(f"there is no Chromium at {chromium} (TWIN_CHROMIUM)")
    folder = mkdtemp(prefix="browser-")
    flags = [*_BY_ITSELF, *NO_NETWORK, *IN_A_POD, f"--remote-debugging-port={port}"]
    command = [str(chromium), *flags, f"--user-data-dir={folder}", "about:blank"]
    os.execv(chromium, command)  # noqa: S606 - fixed words


def wait_for_browser(url: str, seconds: float = SECONDS_TO_START) -> None:
    """See to it that a browser answers at this address.

    Raises:
        TryAgainError: none did in time.
    """
    end = time.monotonic() + seconds
    # Past any proxy of the environment: the browser is beside this process.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            with opener.open(f"{url.rstrip('/')}/json/version", timeout=5):
                return
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() > end:
                raise TryAgainError(
                    f"no browser answers at {url} (TWIN_BROWSER_URL): {error}. "
                    "`twin crawl browser` starts one"
                ) from None
        time.sleep(0.2)
