"""What a site does not publish stays out of the warehouse, unless the recipe takes it."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.twin.crawl.sources.test_folder import WORDS, job
from twin.crawl.page import Page
from twin.crawl.replay import ReplayOptions, replay
from twin.crawl.run import CrawlOptions, crawl
from twin.domain.errors import BadDataError, NothingToDo
from twin.settings import Settings
from twin.stores.warehouse import open_warehouse


def titles(settings: Settings) -> set[str]:
    with open_warehouse(settings) as warehouse:
        return {item.title for item in warehouse.live_documents("tester")}


def write(folder: Path, name: str, front: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"---\ntitle: {path.stem}\n{front}\n---\n{WORDS}")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    write(folder, "public.md", "draft: false")
    write(folder, "draft.md", "draft: true")
    write(folder, "_drafts/idea.md", "layout: post")
    write(folder, "old.md", "expiryDate: 2020-01-01")
    return folder


def test_drafts_are_counted_named_and_left_out(stores_settings: Settings, folder: Path) -> None:
    first = job(stores_settings, folder)
    crawl(first, CrawlOptions())
    assert titles(stores_settings) == {"public"}
    assert first.counts.model_dump() == {"read": 4, "written": 1, "skipped": 3, "failed": 0}
    assert first.result.detail["sources"]["notes"]["drafts"] == 3
    assert sorted(first.result.failures.values()) == [
        "not published any more: it expired on 2020-01-01",
        "not published: a draft, by its folder _drafts",
        "not published: a draft, by its front matter",
    ]
    (folder / "public.md").write_text(f"# public\n\n{WORDS} And more.")
    again = job(stores_settings, folder)
    crawl(again, CrawlOptions())
    assert again.result.detail["sources"]["notes"]["drafts"] == 3
    assert len(again.result.failures) == 3


def test_a_recipe_may_take_them(stores_settings: Settings, folder: Path) -> None:
    crawl(job(stores_settings, folder), CrawlOptions())
    crawl(job(stores_settings, folder, source={"drafts": True}), CrawlOptions())
    assert titles(stores_settings) == {"public", "draft", "idea", "old"}


def test_a_document_that_becomes_a_draft_leaves(stores_settings: Settings, folder: Path) -> None:
    crawl(job(stores_settings, folder), CrawlOptions())
    write(folder, "second.md", "draft: false")
    write(folder, "public.md", "draft: true")
    done = job(stores_settings, folder)
    crawl(done, CrawlOptions())
    assert titles(stores_settings) == {"second"}
    assert done.result.detail["sources"]["notes"]["gone"] == 1


def test_a_post_comes_in_when_its_day_has_come(
    stores_settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = datetime.now(UTC) + timedelta(days=1)
    write(folder, "soon.md", f"date: {soon:%Y-%m-%d %H:%M:%S}")
    crawl(job(stores_settings, folder), CrawlOptions())
    assert titles(stores_settings) == {"public"}
    monkeypatch.setattr(
        "twin.crawl.sources.folder.Page", partial(Page, fetched=soon + timedelta(seconds=1))
    )
    crawl(job(stores_settings, folder), CrawlOptions())
    assert titles(stores_settings) == {"public", "soon"}


def expiring(folder: Path, days: float) -> datetime:
    """When a post of the folder, published today, expires."""
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    write(folder, "soon.md", f"expiryDate: {ends:%Y-%m-%d %H:%M:%S}")
    return ends


def test_an_unchanged_file_leaves_when_it_expires(
    stores_settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = expiring(folder, 1)
    later = partial(Page, fetched=ends + timedelta(seconds=1))
    crawl(job(stores_settings, folder), CrawlOptions())
    assert titles(stores_settings) == {"public", "soon"}
    with pytest.raises(NothingToDo):  # its day is known, and remembered, from crawl to crawl
        crawl(job(stores_settings, folder), CrawlOptions())
    monkeypatch.setattr("twin.crawl.sources.folder.Page", later)
    done = job(stores_settings, folder)
    crawl(done, CrawlOptions())
    assert titles(stores_settings) == {"public"}
    assert done.result.detail["sources"]["notes"]["gone"] == 1
    assert "expired on" in done.result.failures["folder://notes/soon.md"]
    with pytest.raises(NothingToDo):
        crawl(job(stores_settings, folder), CrawlOptions())
    monkeypatch.undo()
    write(folder, "soon.md", "layout: post")  # it was given more time
    crawl(job(stores_settings, folder), CrawlOptions())
    assert titles(stores_settings) == {"public", "soon"}


def test_a_recipe_that_takes_drafts_keeps_what_expires(
    stores_settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = expiring(folder, 1)
    crawl(job(stores_settings, folder, source={"drafts": True}), CrawlOptions())
    monkeypatch.setattr(
        "twin.crawl.sources.folder.Page", partial(Page, fetched=ends + timedelta(days=1))
    )
    with pytest.raises(NothingToDo):
        crawl(job(stores_settings, folder, source={"drafts": True}), CrawlOptions())
    assert "soon" in titles(stores_settings)


def test_what_expired_stays_away_in_a_replay(
    stores_settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = expiring(folder, 1)
    crawl(job(stores_settings, folder), CrawlOptions())
    monkeypatch.setattr(
        "twin.crawl.sources.folder.Page", partial(Page, fetched=ends + timedelta(days=1))
    )
    crawl(job(stores_settings, folder), CrawlOptions())
    with open_warehouse(stores_settings) as warehouse:
        warehouse.collection("documents").delete_many({})
        warehouse.collection("pages").delete_many({})
    with pytest.raises(NothingToDo, match="as their snapshots make them"):
        replay(job(stores_settings, folder), ReplayOptions())
    assert titles(stores_settings) == {"public"}


def test_nothing_but_drafts_is_an_error_that_says_so(
    stores_settings: Settings, folder: Path
) -> None:
    (folder / "public.md").unlink()
    with pytest.raises(BadDataError, match=r"all 3 pages are drafts.* drafts to true"):
        crawl(job(stores_settings, folder), CrawlOptions())
