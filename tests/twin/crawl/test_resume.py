"""Crawls that are killed in their middle and go on: they end as if nothing had happened."""

import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.twin.crawl.crawls import recipe_file, run_crawl, web
from tests.twin.crawl.site_server import Answer, SiteServer, article, serve
from twin.settings import Settings
from twin.stores.snapshots import open_snapshots
from twin.stores.warehouse import open_warehouse

PAGES = 240
RUN = ("--run-id", "nightly")


@pytest.fixture
def site() -> Iterator[SiteServer]:
    """Pages in a tree: each is found only through the one before it, so a lost queue shows.

    Every third page has no validators; some are listings, moved or not there.
    """
    with serve({}) as running:
        for number in range(PAGES):
            children = [child for child in range(7 * number + 1, 7 * number + 8) if child < PAGES]
            links = "".join(f'<a href="/{child}">{child}</a>' for child in children)
            path = f"/{number}" if number else "/"
            page = article(f"Page {number}", 60, body=links)
            running.routes[path] = Answer(page, validated=number % 3 > 0)
        running.routes["/200"] = Answer(status=404)
        running.routes["/201"] = Answer(status=301, headers={"Location": "/202"})
        yield running


def outcome(settings: Settings) -> dict[str, Any]:
    """What a crawl leaves, but for ids (of runs) and times."""
    with open_warehouse(settings) as warehouse:
        documents = {
            item.url: (item.title, item.revision, item.status.value)
            for item in warehouse.summaries("tester")
        }
        revisions = sorted(one["_id"] for one in warehouse.records("revisions"))
        pages = {
            one["url"]: (one["outcome"], one["body_digest"]) for one in warehouse.records("pages")
        }
        held = [(item.url, item.reason) for item in warehouse.quarantined("tester")]
        changes = sorted((one["url"], one["kind"]) for one in warehouse.records("changes"))
    return {
        "documents": documents, "revisions": revisions, "pages": pages, "quarantine": held,
        "changes": changes, "snapshots": captured(settings),
    }  # fmt: skip


def captured(settings: Settings) -> set[str]:
    with open_snapshots(settings, "tester") as snapshots:
        entries = list(snapshots.entries("site"))
        for entry in entries:
            snapshots.read("site", entry)
        return {entry.url for entry in entries if entry.type == "response"}


@pytest.fixture
def undisturbed(stores_settings: Settings, tmp_path: Path, site: SiteServer) -> dict[str, Any]:
    """What a crawl of the site leaves that nothing disturbed."""
    settings = stores_settings.model_copy(
        update={"mongo_database": f"{stores_settings.mongo_database}_calm",
                "home": tmp_path / "calm"}
    )  # fmt: skip
    recipe = recipe_file(tmp_path, [web(site.url)])
    assert run_crawl(settings, recipe, *RUN).code == 0
    found = outcome(settings)
    assert len(found["documents"]) == PAGES - 2
    return found


def end_after(site: SiteServer, pages: int, number: signal.Signals) -> Any:
    """For `run_crawl`: send a signal once the site was asked for so many pages."""
    site.requests.clear()

    def end(pid: int) -> None:
        servers.wait_until(lambda: len(site.requests) >= pages, "pages are asked for", pause=0.005)
        os.kill(pid, number)

    return end


def test_kill_9_at_several_points(
    undisturbed: dict[str, Any], stores_settings: Settings, tmp_path: Path, site: SiteServer
) -> None:
    recipe = recipe_file(tmp_path, [web(site.url)])
    for pages in (1, 30, 90, 200):
        run_crawl(stores_settings, recipe, *RUN, before=end_after(site, pages, signal.SIGKILL))
    done = run_crawl(stores_settings, recipe, *RUN)
    assert done.code == 0, done.error
    assert outcome(stores_settings) == undisturbed
    assert run_crawl(stores_settings, recipe).code == 99
    assert not list((stores_settings.home / "crawls").rglob("*.warc.gz"))


@pytest.mark.parametrize("pages", [5, pytest.param(100, marks=pytest.mark.nightly)])
def test_sigterm_goes_on_where_it_was(
    undisturbed: dict[str, Any], stores_settings: Settings, tmp_path: Path, site: SiteServer,
    pages: int,
) -> None:  # fmt: skip
    """Nightly buys a second moment, late in the crawl."""
    recipe = recipe_file(tmp_path, [web(site.url)])
    ended = run_crawl(stores_settings, recipe, *RUN, before=end_after(site, pages, signal.SIGTERM))
    assert ended.code == 75 and "run again for the rest" in ended.line
    first = set(site.requests)
    site.requests.clear()
    done = run_crawl(stores_settings, recipe, *RUN)
    assert done.code == 0, done.error
    asked_again = first & set(site.requests)
    known = {"/", "/robots.txt", "/.well-known/tdmrep.json", "/202"}
    assert asked_again <= known, "no page is asked for twice"
    assert outcome(stores_settings) == undisturbed
    assert done.tally() == {"added": PAGES - 2, "dead_links": 1, "skipped": 1}, (
        "both halves are counted"
    )
    assert not list((stores_settings.home / "crawls").rglob("queue"))


@pytest.mark.parametrize("harm", ["queue", "note", "both", "recipe"])
def test_a_stale_or_damaged_queue_is_thrown_away(
    undisturbed: dict[str, Any], stores_settings: Settings, tmp_path: Path, site: SiteServer,
    harm: str,
) -> None:  # fmt: skip
    recipe = recipe_file(tmp_path, [web(site.url)])
    run_crawl(stores_settings, recipe, *RUN, before=end_after(site, 60, signal.SIGTERM))
    (note,) = (stores_settings.home / "crawls").rglob("paused.json")
    if harm in {"queue", "both"}:
        for path in (note.parent / "queue").rglob("*"):
            if path.is_file():
                path.write_bytes(b"\x80 no queue")
    if harm in {"note", "both"}:
        note.write_text(note.read_text()[:40])
    if harm == "recipe":
        recipe = recipe_file(tmp_path, [web(site.url, exclude=["/nothing"])])
    done = run_crawl(stores_settings, recipe, *RUN)
    assert done.code == 0, done.error
    assert outcome(stores_settings) == undisturbed


def test_without_its_folder_a_retry_starts_afresh(
    undisturbed: dict[str, Any], stores_settings: Settings, tmp_path: Path, site: SiteServer
) -> None:
    """As in a pod, whose folder is gone with it: unsaved snapshots are fetched again."""
    recipe = recipe_file(tmp_path, [web(site.url)])
    run_crawl(stores_settings, recipe, *RUN, before=end_after(site, 120, signal.SIGKILL))
    shutil.rmtree(stores_settings.home / "crawls")
    assert run_crawl(stores_settings, recipe, *RUN).code == 0
    assert outcome(stores_settings) == undisturbed


def test_two_processes_do_not_crawl_one_run(
    stores_settings: Settings, tmp_path: Path, site: SiteServer
) -> None:
    """The first waits for a page for as long as the second needs to see that it runs."""
    second_ended, page = threading.Event(), site.routes["/1"]

    def wait(handler: BaseHTTPRequestHandler) -> None:
        second_ended.wait()
        site.routes["/1"] = page
        body = page.content() if isinstance(page, Answer) else b""
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html; charset=utf-8")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    site.routes["/1"] = wait
    patient = {"download_timeout_seconds": 600}
    recipe = recipe_file(tmp_path, [web(site.url)], **patient)
    (tmp_path / "other").mkdir()
    other = recipe_file(tmp_path / "other", [web(site.url)], **patient)

    def second(_: int) -> None:
        servers.wait_until(lambda: "/1" in site.requests, "the first crawl waits for a page")
        try:
            done = run_crawl(stores_settings, other, *RUN)
        finally:
            second_ended.set()
        assert done.code == 75 and re.search("another process still crawls it", done.line)

    assert run_crawl(stores_settings, recipe, *RUN, before=second).code == 0
