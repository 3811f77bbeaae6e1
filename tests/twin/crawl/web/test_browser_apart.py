"""A browser in a process of its own, as it stands beside a crawl on a cluster: a real Chromium."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.twin.crawl.crawls import Crawl, documents, web
from tests.twin.crawl.site_server import Answer, serve
from tests.twin.crawl.web.test_browser import app, needs_chromium, neighbour, writes
from twin.crawl.web.browser_apart import run_browser, wait_for_browser
from twin.domain.errors import BadConfigurationError, TryAgainError
from twin.settings import Settings


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


@pytest.fixture
def browser(port: int) -> Iterator[str]:
    """A browser with no variable but those that start it, as in its container."""
    command = [sys.executable, "-m", "twin.cli", "crawl", "browser", f"--port={port}"]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TWIN_CHROMIUM", "TMPDIR")
            if name in os.environ}  # fmt: skip
    process = subprocess.Popen(command, env=kept, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


@needs_chromium
def test_a_crawl_reads_pages_in_it_and_it_reaches_nothing_by_itself(
    crawl: Crawl, stores_settings: Settings, browser: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes. Buys: the browser's container needs no secret, and has no way out."""
    monkeypatch.setenv("TWIN_BROWSER_URL", browser)
    # The crawl itself could not start one.
    monkeypatch.setenv("TWIN_CHROMIUM", "/nowhere/chromium")
    with serve({}) as site, neighbour() as (other, met):
        away = f"127.0.0.1:{other}"
        tries = (
            f"fetch('http://{away}/fetch', {{mode: 'no-cors'}});"
            f"try {{ new WebSocket('ws://{away}/socket') }} catch (e) {{}};"
            f"try {{ new WebSocket('ws{browser.removeprefix('http')}/devtools/browser') }}"
            " catch (e) {};"
            f"fetch('{browser}/json/version', {{mode: 'no-cors'}})"
        )
        site.routes |= {
            "/": app(writes("Apart", f"{tries};fetch('/seen')")),
            "/seen": Answer("{}", media_type="application/json"),
        }
        done = crawl(web(site.url, javascript=True))
        assert done.code == 0, done.error
        assert "/seen" in site.requests, "the script did run"
        assert met == []
    assert documents(stores_settings)["/"].title == "Apart"


def test_a_browser_that_does_not_come_is_waited_for_and_named(port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    with pytest.raises(TryAgainError, match=rf"no browser answers at {url} \(TWIN_BROWSER_URL\)"):
        wait_for_browser(url, seconds=0.3)


def test_no_browser_to_become(tmp_path, port: int) -> None:
    with pytest.raises(BadConfigurationError, match=f"no Chromium at {tmp_path}/none"):
        run_browser(tmp_path / "none", port)
