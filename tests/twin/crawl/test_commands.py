"""`twin crawl run` through kills: of the warehouse, and of itself."""

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests import servers
from tests.forked_twin import TwinProcess
from tests.twin.crawl.crawls import crawl_arguments, environment, recipe_file, run_crawl, web
from tests.twin.crawl.site_server import Answer, SiteServer, article, serve, sitemap
from tests.twin.crawl.stored import stored_documents
from twin.settings import Settings
from twin.stores.warehouse import open_warehouse

PAGES = 30
FREE = 10


@contextmanager
def gated_site() -> Iterator[tuple[SiteServer, threading.Event]]:
    """A site that answers a few pages and keeps the others waiting until the event is set: so
    the crawl is surely in its middle."""
    gate = threading.Event()
    answered = itertools.count()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if next(answered) >= FREE:
            gate.wait(30)
        body = article(f"Page {int(handler.path[1:])}").encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html; charset=utf-8")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with serve({f"/{number}": answer for number in range(PAGES)}) as site:
        site.routes["/sitemap.xml"] = sitemap(*(f"{site.url}/{n}" for n in range(PAGES)))
        try:
            yield site, gate
        finally:
            gate.set()


def source(site: SiteServer) -> dict:
    return web(site.url, sitemaps=[f"{site.url}/sitemap.xml"], follow_links=False)


def count(settings: Settings) -> int:
    return len(stored_documents(settings))


def check_complete(settings: Settings) -> None:
    """Every page is one whole document with one revision."""
    with open_warehouse(settings) as warehouse:
        documents = list(warehouse.live_documents("tester"))
        assert sorted(item.title for item in documents) == sorted(f"Page {n}" for n in range(PAGES))
        for item in documents:
            (revision,) = warehouse.revisions(item.id)
            assert (revision.revision, revision.content) == (item.revision, item.content)


@pytest.mark.slow
def test_warehouse_killed_in_mid_crawl(settings: Settings, tmp_path: Path) -> None:
    """kill -9 of the server: one line, exit 75, and the next run completes. Takes a while since
    the crawl waits for the driver to give up on the server, and the server is started twice."""
    port = servers.free_port()
    folder = tmp_path / "warehouse" / "data"
    with gated_site() as (site, gate):
        recipe = recipe_file(tmp_path, [source(site)])
        with servers.warehouse_server(folder, port) as (uri, _, pid):
            lived = settings.model_copy(update={"mongo_uri": SecretStr(uri)})

            def kill(_: int) -> None:
                servers.wait_until(lambda: count(lived) >= FREE, "the first pages are stored")
                os.kill(pid, signal.SIGKILL)
                gate.set()

            done = run_crawl(lived, recipe, before=kill)
        assert done.code == 75
        assert "the warehouse (MongoDB at 127.0.0.1" in done.line and "does not answer" in done.line
        assert done.result["status"] == "failed"
        with servers.warehouse_server(folder, port):
            assert FREE <= count(lived) < PAGES, "what was acknowledged is there"
            again = run_crawl(lived, recipe)
            assert again.code == 0, again.error
            assert again.tally()["unchanged"] >= FREE
            check_complete(lived)
            assert run_crawl(lived, recipe).code == 99


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_crawl_ended_in_its_middle(
    stores_settings: Settings, tmp_path: Path, number: signal.Signals
) -> None:
    with gated_site() as (site, gate):
        recipe = recipe_file(tmp_path, [source(site)])

        def end(pid: int) -> None:
            servers.wait_until(lambda: count(stores_settings) >= FREE, "the first pages are stored")
            os.kill(pid, number)
            threading.Timer(1, gate.set).start()

        done = run_crawl(stores_settings, recipe, before=end)
        if number is signal.SIGTERM:
            assert done.code == 75 and "stopped early (shutdown)" in done.line
        assert FREE <= count(stores_settings) < PAGES
        assert run_crawl(stores_settings, recipe).code == 0
        check_complete(stores_settings)


def test_a_kill_after_the_last_write_is_made_up_for(
    stores_settings: Settings, tmp_path: Path
) -> None:
    """All is stored, but the killed run told nobody: the next one reports news, not 99."""
    with serve({"/": Answer(article("Home"))}) as site:
        hold = threading.Event()

        def slow(handler: BaseHTTPRequestHandler) -> None:
            hold.wait(20)

        site.routes["/slow"] = slow
        links = '<a href="/slow">slow</a>'
        site.routes["/"] = Answer(article("Home", body=links))
        recipe = recipe_file(tmp_path, [web(site.url)], max_failed_share=0.9)
        process = TwinProcess(crawl_arguments(recipe), env=environment(stores_settings))
        servers.wait_until(lambda: count(stores_settings) == 1, "the page is stored")
        process.kill()
        process.wait()
        hold.set()
        time.sleep(0.1)
        site.routes["/slow"] = Answer(status=404)
        again = run_crawl(stores_settings, recipe)
        assert again.code == 0 and again.result["counts"]["written"] == 0


def test_the_warehouse_is_away(settings: Settings, tmp_path: Path) -> None:
    recipe = recipe_file(tmp_path, [web("http://127.0.0.1:1")])
    done = run_crawl(settings, recipe)
    assert done.code == 75 and "`make up`" in done.line


def test_a_bad_pattern_in_the_recipe_is_named(settings: Settings, tmp_path: Path) -> None:
    recipe = recipe_file(tmp_path, [web("http://127.0.0.1:1", include=["("])])
    done = run_crawl(settings, recipe)
    assert done.code == 65
    assert "recipe.yaml: sources.0.include.0 = '(': not a regular expression" in done.line
