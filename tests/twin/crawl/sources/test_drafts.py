"""What a site does not publish stays out of the warehouse, unless the recipe takes it."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.twin.crawl.sources.test_folder import WORDS, job
from twin.crawl.page import Page
from twin.crawl.run import CrawlOptions, crawl
from twin.domain.errors import BadDataError
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


def test_nothing_but_drafts_is_an_error_that_says_so(
    stores_settings: Settings, folder: Path
) -> None:
    (folder / "public.md").unlink()
    with pytest.raises(BadDataError, match=r"all 3 pages are drafts.* drafts to true"):
        crawl(job(stores_settings, folder), CrawlOptions())
