"""`twin crawl replay`: what crawls gave comes back from their snapshots, with no network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from tests.forked_twin import run_twin
from tests.twin.crawl.crawls import Crawled, environment, recipe_file, run_crawl, web
from tests.twin.crawl.feeds import TEXT, rss, rss_item
from tests.twin.crawl.site_server import Answer, SiteServer, article, serve
from tests.twin.crawl.web.test_substack import json_answer
from tests.twin.crawl.web.test_substack import post as letter
from twin.settings import Settings
from twin.stores.snapshots import open_snapshots
from twin.stores.warehouse import open_warehouse


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with serve({}) as running:
        yield running


def everything(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """All that a crawl is to leave, as it is stored; pages know their snapshots too."""
    with open_warehouse(settings) as warehouse:
        documents = list(warehouse.records("documents"))
        for one in documents:
            del one["last_seen"]  # a replay knows when the last page was seen, not each
            one.pop("missed_in", None)
        live = {one["_id"] for one in documents if one["status"] == "live"}
        pages = [one for one in warehouse.records("pages") if one["document_id"] in live]
        for one in pages:  # links are looked for where requests are made
            del one["fetched"], one["status"]
            one.pop("links", None)
        return {
            "documents": documents, "revisions": list(warehouse.records("revisions")),
            "pages": pages,
        }  # fmt: skip


def drop(settings: Settings) -> None:
    client: MongoClient[Any] = MongoClient(settings.mongo_uri.get_secret_value())
    client.drop_database(settings.mongo_database)
    client.close()


def replay(settings: Settings, recipe: Path, *options: str) -> Crawled:
    arguments = ("crawl", "replay", "--recipe", recipe, *options)
    done = run_twin(*arguments, env=environment(settings), timeout=120)
    return Crawled(done.returncode, done.stderr, {})


def changing_site(site: SiteServer, folder: Path) -> Iterator[None]:
    """A site and a folder through five crawls: changes, 304s, pages gone and come back."""
    (folder / "n.md").write_text("# Note\n\n" + "A note about something. " * 20)
    (folder / "broken.md").write_bytes(b"\xc3\x28 broken" * 40)
    links = "".join(f'<a href="/{name}">{name}</a>' for name in "abcd")
    site.routes["/"] = Answer(article("Home", 60, body=links), validated=True)
    site.routes["/a"] = Answer(article("A"), validated=True)
    site.routes["/b"] = Answer(article("B"))
    site.routes["/c"] = Answer(
        article("C").encode("utf-16"), media_type="text/html; charset=utf-16"
    )
    site.routes["/d"] = Answer(article("D"), validated=True)
    yield
    site.routes["/a"] = Answer(article("A", body="<p>Second text of it.</p>"), validated=True)
    site.routes["/d"] = Answer(status=410)
    yield
    site.routes["/d"] = Answer(article("D"), validated=True)
    (folder / "n.md").unlink()
    yield
    site.routes["/b"] = Answer(status=410)
    yield
    site.routes["/a"] = Answer(article("A"), validated=True)  # the first text again
    yield


@pytest.fixture
def crawled(stores_settings: Settings, tmp_path: Path, site: SiteServer) -> Path:
    """Recipe of a site that was crawled through all its changes."""
    folder = tmp_path / "notes"
    folder.mkdir()
    notes = {"kind": "folder", "name": "notes", "path": str(folder)}
    (folder / "stays.md").write_text("# Stays\n\n" + "Another note about it. " * 20)
    recipe = recipe_file(tmp_path, [web(site.url), notes], max_failed_share=0.9)
    for _ in changing_site(site, folder):
        done = run_crawl(stores_settings, recipe)
        assert done.code == 0, done.error
    return recipe


def test_a_dropped_warehouse_comes_back_from_its_snapshots(
    crawled: Path, stores_settings: Settings, site: SiteServer
) -> None:
    before = everything(stores_settings)
    assert len(before["revisions"]) == 8
    assert sorted(one["status"] for one in before["documents"]) == ["gone"] * 2 + ["live"] * 5
    drop(stores_settings)
    site.requests.clear()
    done = replay(stores_settings, crawled)
    assert done.code == 0, done.error
    assert not site.requests
    assert everything(stores_settings) == before
    # Again changes nothing. The next crawl fetches once more, to learn where pages lead.
    assert replay(stores_settings, crawled).code == 99
    assert everything(stores_settings) == before
    for status in (200, 304):
        assert run_crawl(stores_settings, crawled).code == 99
        assert site.answers["/d"] == status
    assert everything(stores_settings) == before


def test_snapshots_of_old_crawls_are_dropped_but_what_stands_comes_back(
    stores_settings: Settings, tmp_path: Path, site: SiteServer
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    notes = {"kind": "folder", "name": "notes", "path": str(folder)}
    (folder / "stays.md").write_text("# Stays\n\n" + "Another note about it. " * 20)
    recipe = recipe_file(tmp_path, [web(site.url), notes], max_failed_share=0.9, snapshot_crawls=1)
    dropped = 0
    for _ in changing_site(site, folder):
        done = run_crawl(stores_settings, recipe)
        assert done.code == 0, done.error
        dropped += done.result["detail"].get("site: raw pages of old crawls dropped", 0)
    assert dropped > 0
    before = everything(stores_settings)
    texts = {(one["url"], one["revision"], one["status"]) for one in before["documents"]}
    drop(stores_settings)
    assert replay(stores_settings, recipe).code == 0
    after = everything(stores_settings)
    assert {(one["url"], one["revision"], one["status"]) for one in after["documents"]} == texts
    assert len(after["revisions"]) < len(before["revisions"]), "older texts are not kept"
    assert [(one["url"], one["snapshot"], one["captured"]) for one in after["pages"]] == [
        (one["url"], one["snapshot"], one["captured"]) for one in before["pages"]
    ]
    assert run_crawl(stores_settings, recipe).code == 99


def test_posts_of_an_api_and_articles_of_a_feed_come_back_too(
    stores_settings: Settings, tmp_path: Path, site: SiteServer
) -> None:
    site.routes["/api/v1/posts/one"] = json_answer(letter("one"))
    item = rss_item("Fed", f"{site.url}/fed", f"<p>{TEXT * 3}</p>", creator="A. Guest")
    site.routes["/feed"] = Answer(rss(item), media_type="application/rss+xml")
    letters = {
        "kind": "substack", "name": "letters", "url": "https://tess.substack.com",
        "posts": ["https://tess.substack.com/p/one"], "hosts": {"tess.substack.com": site.url},
    }  # fmt: skip
    feed = web(site.url, feeds=[f"{site.url}/feed"], follow_links=False, feeds_have_full_text=True)
    recipe = recipe_file(tmp_path, [letters, feed])
    first = run_crawl(stores_settings, recipe)
    assert first.code == 0, first.error
    assert first.tally("letters") == {"added": 1} and first.tally()["guests"] == 1
    before = everything(stores_settings)
    assert {one["title"] for one in before["documents"]} == {"On one", "Fed"}
    drop(stores_settings)
    site.requests.clear()
    done = replay(stores_settings, recipe)
    assert done.code == 0, done.error
    assert not site.requests
    assert everything(stores_settings) == before
    again = run_crawl(stores_settings, recipe)
    assert again.code == 99, again.error
    assert again.tally() == {"unchanged": 1, "guests": 1}


def test_better_readers_need_no_new_crawl(
    crawled: Path, stores_settings: Settings, site: SiteServer, tmp_path: Path
) -> None:
    """Texts of a worse reader are put in place of today's: a full replay mends them, and no
    document goes back to what its page said before."""
    before = everything(stores_settings)
    with open_warehouse(stores_settings) as warehouse:
        warehouse.collection("documents").update_many(
            {}, {"$set": {"content": "Badly read.", "revision": "bad", "fetched": "old"}}
        )
        warehouse.collection("pages").update_many({}, {"$set": {"reader": "old"}})
    site.requests.clear()
    done = replay(stores_settings, crawled, "--full")
    assert done.code == 0, done.error
    assert not site.requests

    def texts(stored: dict[str, Any]) -> set[tuple[str, str]]:
        return {(one["_id"], one["content"]) for one in stored["documents"]
                if one["status"] == "live"}  # fmt: skip

    after = everything(stores_settings)
    assert texts(after) == texts(before)
    assert after["revisions"] == before["revisions"]


def test_a_forgotten_page_is_not_replayed(
    crawled: Path, stores_settings: Settings, site: SiteServer
) -> None:
    with open_snapshots(stores_settings, "tester") as snapshots:
        assert snapshots.forget([f"{site.url}/a"]) > 0
    drop(stores_settings)
    assert replay(stores_settings, crawled).code == 0
    with open_warehouse(stores_settings) as warehouse:
        assert {item.title for item in warehouse.summaries("tester")} == {
            "Home", "B", "C", "D", "Note", "Stays",
        }  # fmt: skip


def test_without_snapshots_it_says_what_makes_them(
    stores_settings: Settings, tmp_path: Path, site: SiteServer
) -> None:
    site.routes["/"] = Answer(article("Home"))
    recipe = recipe_file(tmp_path, [web(site.url)], snapshots=False)
    assert run_crawl(stores_settings, recipe).code == 0
    done = replay(stores_settings, recipe)
    assert done.code == 65 and "no snapshots under" in done.line and "crawl.snapshots" in done.line
