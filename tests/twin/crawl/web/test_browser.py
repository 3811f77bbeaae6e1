"""Pages that only a browser can read, in a real Chromium; and what it is kept from."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.twin.crawl.crawls import Crawl, documents, held, paths, web
from tests.twin.crawl.site_server import Answer, SiteServer, article, serve
from twin.settings import Settings

CHROMIUM = Path(os.environ.get("TWIN_CHROMIUM", "/usr/bin/chromium"))
needs_chromium = pytest.mark.skipif(
    not CHROMIUM.is_file(), reason=f"no Chromium at {CHROMIUM} (TWIN_CHROMIUM names another)"
)
SENTENCE = "This sentence was written by a script, and its author stands by it. "
PARAGRAPHS = f"[...Array(12).keys()].map(n => '<p>' + n + '. {SENTENCE}</p>').join('')"


def app(script: str, text: str = "") -> Answer:
    return Answer(
        f'<html lang="en"><head><title>App</title></head><body><main id="app">{text}</main>'
        f"<script>{script}</script></body></html>"
    )


def writes(title: str, then: str = "") -> str:
    """A script that writes an article of this title."""
    return (
        "document.getElementById('app').innerHTML = '<article><h1>"
        f"{title}</h1>' + {PARAGRAPHS} + '</article>';{then}"
    )


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with serve({}) as running:
        yield running


@contextmanager
def neighbour() -> Iterator[tuple[int, list[str]]]:
    """A service on a port that the recipe does not allow: whoever connects is noted."""
    met: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.settimeout(2)
            with connection:
                try:
                    met.append(connection.recv(200).decode("latin-1").partition("\r")[0])
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")
                except OSError:
                    met.append("connected")

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], met
    finally:
        listener.close()


@needs_chromium
def test_what_scripts_write_is_read(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    fetches = (
        "fetch('/data.json').then(r => r.json()).then(d => {"
        "document.getElementById('app').innerHTML = '<article><h1>' + d.title + '</h1>' + "
        f"{PARAGRAPHS} + '</article><a href=\"/two\">two</a>'}})"
    )
    site.routes |= {
        "/": app(fetches, '<img src="/picture.png">'),
        "/data.json": Answer('{"title": "From data"}', media_type="application/json"),
        "/two": Answer(
            '<html lang="en"><head><title>x</title></head><body><main id="app"></main>'
            '<script src="/app.js"></script></body></html>'
        ),
        "/app.js": Answer(writes("Two"), media_type="text/javascript"),
        "/picture.png": Answer(b"png", media_type="image/png"),
        "/moved": Answer(status=301, headers={"Location": "/two"}),
    }
    without = crawl(web(site.url))
    assert without.code == 65, "without a browser there is no text"
    site.requests.clear()
    done = crawl(web(site.url, javascript=True))
    assert done.code == 0, done.error
    found = documents(stores_settings)
    assert {path: item.title for path, item in found.items()} == {"/": "From data", "/two": "Two"}
    assert found["/two"].content.count("stands by it") == 12
    assert "/picture.png" not in site.requests
    assert site.requests.count("/") == 1, "the page itself is fetched once"


@needs_chromium
def test_a_page_reaches_nothing_that_the_crawl_may_not(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """Each way out that a script has, to a port of this machine, by address, name and redirect."""
    with neighbour() as (port, met):
        away = f"127.0.0.1:{port}"
        tries = "".join(
            f"try {{ {script} }} catch (e) {{}};"
            for script in (
                f"fetch('http://{away}/fetch', {{mode: 'no-cors'}})",
                f"fetch('http://localhost:{port}/name', {{mode: 'no-cors'}})",
                f"fetch('http://[::ffff:127.0.0.1]:{port}/mapped', {{mode: 'no-cors'}})",
                "fetch('/redirect', {mode: 'no-cors'})",
                f"new WebSocket('ws://{away}/socket')",
                f"navigator.sendBeacon('http://{away}/beacon', 'x')",
                f"new EventSource('http://{away}/events')",
                f"new Worker(URL.createObjectURL(new Blob(['fetch(\"http://{away}/worker\")'])))",
                f"document.body.append(Object.assign(document.createElement('iframe'), "
                f"{{src: 'http://{away}/frame'}}))",
                f"document.body.append(Object.assign(document.createElement('script'), "
                f"{{src: 'http://{away}/script.js'}}))",
                f"document.head.append(Object.assign(document.createElement('link'), "
                f"{{rel: 'preconnect', href: 'http://{away}'}}))",
                f"document.head.append(Object.assign(document.createElement('link'), "
                f"{{rel: 'prefetch', href: 'http://{away}/prefetch'}}))",
                f"window.open('http://{away}/window')",
                f"new RTCPeerConnection({{iceServers: [{{urls: 'turn:{away}?transport=tcp', "
                "username: 'u', credential: 'c'}]}).createDataChannel('x')",
                f"setTimeout(() => location.href = 'http://{away}/leave', 50)",
            )
        )
        site.routes |= {
            "/": app(writes("Nosy", tries)),
            "/redirect": Answer(status=302, headers={"Location": f"http://{away}/redirected"}),
            "/frame": Answer(status=302, headers={"Location": f"http://{away}/"}),
        }
        done = crawl(web(site.url, javascript=True))
        assert met == []
        assert done.code == 0, done.error
        assert "/redirect" in site.requests, "the script did run"
    assert documents(stores_settings)["/"].title == "Nosy"


@needs_chromium
def test_scripts_without_end_and_pages_without_measure_are_left(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    def large(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/javascript")
        handler.end_headers()
        for _ in range(300):
            handler.wfile.write(b"/*" + b"x" * 100_000 + b"*/")

    links = "".join(f'<a href="/{name}">x</a>' for name in ("loop", "greedy", "asks", "fine"))
    site.routes |= {
        "/": Answer(article("Home", body=links)),
        "/loop": app("while (true) {}"),
        "/greedy": Answer(
            '<html lang="en"><title>g</title><main id="app"></main><script src="/large.js">'
            f"</script><script>{writes('Greedy')}</script></html>"
        ),
        "/large.js": large,
        "/asks": app(writes("Asks", "setInterval(() => fetch('/more?' + Math.random()), 20)")),
        "/fine": app(writes("Fine")),
    }
    done = crawl(
        web(site.url, javascript=True, include=["/loop", "/fine", "/greedy", "/asks"]),
        download_timeout_seconds=10, max_page_bytes=1_000_000, max_failed_share=0.5,
    )  # fmt: skip
    assert done.code == 0, done.error
    assert paths(stores_settings) >= {"/fine", "/greedy", "/asks"}
    assert "its scripts did not end in time" in held(stores_settings)["/loop"]
    assert sum(path.startswith("/more") for path in site.requests) <= 100


def test_without_chromium_the_recipe_is_refused(
    crawl: Crawl, site: SiteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWIN_CHROMIUM", "/nowhere/chromium")
    done = crawl(web(site.url, javascript=True))
    assert done.code == 78 and "needs Chromium at /nowhere/chromium" in done.line
    assert site.requests == []
