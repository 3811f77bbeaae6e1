"""Folders into the warehouse, good files and bad ones."""

import os
from pathlib import Path

import pytest

from tests.twin.crawl.site_server import article
from tests.twin.crawl.stored import stored_documents
from twin.crawl.run import CrawlOptions, crawl
from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.result import JobResult
from twin.job import Job
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.warehouse import open_warehouse

WORDS = "Words that an author wrote. " * 20


def job(settings: Settings, folder: Path, *, source: dict | None = None, **limits: object) -> Job:
    recipe = Recipe.model_validate(
        {
            "name": "tester",
            "author": {"id": "tester", "name": "Tess"},
            "sources": [{"kind": "folder", "name": "notes", "path": folder, **(source or {})}],
            "crawl": {"min_words": 20, **limits},
        }
    )
    result = JobResult(job="crawl run", recipe="tester", run_id="r1")
    return Job(recipe, settings, "r1", result)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    (folder / "deep er").mkdir(parents=True)
    (folder / "one.md").write_text(f"# One\n\n{WORDS}")
    (folder / "deep er" / "two.md").write_text(f"---\ntitle: Two\n---\n{WORDS}")
    (folder / "three.html").write_text(f"<html><body><h1>3</h1><p>{WORDS}</p></body></html>")
    (folder / "ignored.txt").write_text(WORDS)
    return folder


def test_files_become_documents(stores_settings: Settings, notes: Path) -> None:
    first = job(stores_settings, notes, source={"url_prefix": "https://e.org/"})
    crawl(first, CrawlOptions())
    with open_warehouse(stores_settings) as warehouse:
        documents = {item.url: item for item in warehouse.live_documents("tester")}
    assert set(documents) == {
        "https://e.org/one.md", "https://e.org/deep%20er/two.md", "https://e.org/three.html",
    }  # fmt: skip
    one = documents["https://e.org/one.md"]
    assert (one.title, one.author_name, one.source) == ("One", "Tess", "notes")
    assert one.content.strip() == WORDS.strip()
    assert first.counts.model_dump() == {"read": 3, "written": 3, "skipped": 0, "failed": 0}
    assert first.result.detail["documents"] == 3


def test_a_file_is_called_what_its_page_says(stores_settings: Settings, tmp_path: Path) -> None:
    """An export of a static site: the page is at /a/, its file at a/index.html."""
    folder = tmp_path / "public"
    (folder / "a").mkdir(parents=True)
    head = '<link rel="canonical" href="https://e.org/a/">'
    (folder / "a" / "index.html").write_text(article("A", head=head))
    crawl(job(stores_settings, folder, source={"url_prefix": "https://e.org/"}), CrawlOptions())
    with open_warehouse(stores_settings) as warehouse:
        assert [item.url for item in warehouse.live_documents("tester")] == ["https://e.org/a/"]


def test_only_what_changed_is_a_new_revision(stores_settings: Settings, notes: Path) -> None:
    crawl(job(stores_settings, notes), CrawlOptions())
    with pytest.raises(NothingToDo, match="all 3 documents"):
        crawl(job(stores_settings, notes), CrawlOptions())
    (notes / "one.md").write_text(f"# One\n\nNew. {WORDS}")
    again = job(stores_settings, notes)
    crawl(again, CrawlOptions())
    assert again.counts.written == 1 and again.counts.skipped == 2
    with open_warehouse(stores_settings) as warehouse:
        history = [len(warehouse.revisions(item.id)) for item in warehouse.live_documents("tester")]
    assert sorted(history) == [1, 1, 2]


def test_full_reads_all_again_and_finds_the_same(stores_settings: Settings, notes: Path) -> None:
    crawl(job(stores_settings, notes), CrawlOptions())
    with pytest.raises(NothingToDo):
        crawl(job(stores_settings, notes), CrawlOptions(full=True))


def test_a_crawl_that_told_nobody_of_its_documents_is_not_nothing(
    stores_settings: Settings, notes: Path
) -> None:
    """Killed after its last write, before its end: the run that follows has the news to tell."""
    crawl(job(stores_settings, notes), CrawlOptions())
    with open_warehouse(stores_settings) as warehouse:
        warehouse.collection("crawls").update_many({}, {"$set": {"status": "running"}})
    again = job(stores_settings, notes)
    crawl(again, CrawlOptions())
    assert again.counts.written == 0


def test_bad_files_go_to_quarantine_with_the_reason(
    stores_settings: Settings, notes: Path, tmp_path: Path
) -> None:
    (notes / "binary.md").write_bytes(b"# Caf\xe9\n" + WORDS.encode())
    (notes / "empty.md").write_text(" \n")
    (notes / "short.md").write_text("# Short\n\nToo few words.")
    (notes / "large.md").write_text("word " * 5_000)
    (notes / "yaml.md").write_text(f"---\ntitle: [\n---\n{WORDS}")
    (notes / "half.md").write_text(f'---\ntitle: "Hi \\ud83d"\n---\n{WORDS}')
    (notes / "tag.md").write_text(f'---\ntags: ["\\ude00"]\n---\n{WORDS}')
    (notes / "deep.md").write_text(f"---\ntitle: {'[' * 9_000}{']' * 9_000}\n---\n{WORDS}")
    (tmp_path / "secret.md").write_text(WORDS)
    (notes / "link.md").symlink_to(tmp_path / "secret.md")
    bad = job(stores_settings, notes, max_failed_share=0.9, max_page_bytes=20_000)
    crawl(bad, CrawlOptions())
    reasons = {url.rsplit("/", 1)[1]: reason for url, reason in bad.result.failures.items()}
    assert reasons == {
        "binary.md": "invalid utf-8 at byte 5",
        "empty.md": "empty",
        "short.md": "3 words, fewer than crawl.min_words = 20",
        "large.md": "25,000 bytes, more than crawl.max_page_bytes = 20,000",
        "link.md": "a link out of the folder",
        "half.md": "holds half a character (a surrogate without its pair)",
        "tag.md": "holds half a character (a surrogate without its pair)",
    }
    with open_warehouse(stores_settings) as warehouse:
        assert len(warehouse.quarantined("tester", "notes")) == 7
        assert len(warehouse.live_revisions("tester")) == 5  # broken front matter costs no text
    # Mended, it leaves the quarantine.
    (notes / "empty.md").write_text(WORDS)
    crawl(job(stores_settings, notes, max_failed_share=0.9, max_page_bytes=20_000), CrawlOptions())
    with open_warehouse(stores_settings) as warehouse:
        assert "folder://notes/empty.md" not in {i.url for i in warehouse.quarantined("tester")}


def test_front_matter_as_json_spells_characters_by_halves(
    stores_settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    front = r'{"title": "Hi \ud83d\ude00", "subtitle": "\ud83c\udf0d", "tags": ["\ud83e\udd80"]}'
    (folder / "one.md").write_text(f"---\n{front}\n---\n{WORDS}")
    crawl(job(stores_settings, folder), CrawlOptions())
    with open_warehouse(stores_settings) as warehouse:
        (document,) = warehouse.live_documents("tester")
    assert (document.title, document.subtitle, document.tags) == ("Hi 😀", "🌍", ("🦀",))


def test_a_file_s_name_need_not_be_utf_8(stores_settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / os.fsdecode(b"caf\xe9.md")).write_text(WORDS)
    crawl(job(stores_settings, folder), CrawlOptions())
    with open_warehouse(stores_settings) as warehouse:
        assert [d.url for d in warehouse.live_documents("tester")] == ["folder://notes/caf%E9.md"]


def test_too_many_bad_files_fail_the_crawl_but_the_good_ones_are_kept(
    stores_settings: Settings, notes: Path
) -> None:
    for number in range(3):
        (notes / f"empty-{number}.md").write_text("")
    with pytest.raises(BadDataError, match=r"'notes': 3 of 6 pages failed.*20%.*mostly: empty"):
        crawl(job(stores_settings, notes), CrawlOptions())
    assert len(stored_documents(stores_settings)) == 3


def test_an_article_of_two_megabytes_is_kept_whole(
    stores_settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "long"
    folder.mkdir()
    (folder / "long.md").write_text("# Long\n\n" + "A line of a very long text.\n" * 75_000)
    crawl(job(stores_settings, folder), CrawlOptions())
    with open_warehouse(stores_settings) as warehouse:
        (document,) = warehouse.live_documents("tester")
    assert len(document.content) > 2_000_000


def test_a_missing_folder_and_an_empty_one_are_named(
    stores_settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(BadDataError, match=r"source 'notes': no folder .*/nowhere"):
        crawl(job(stores_settings, tmp_path / "nowhere"), CrawlOptions())
    with pytest.raises(BadDataError, match=r"source 'notes': no file in .* matches \*\*/\*\.md"):
        crawl(job(stores_settings, tmp_path), CrawlOptions())


def test_unknown_source_and_malformed_copy_are_refused(
    stores_settings: Settings, notes: Path
) -> None:
    with pytest.raises(BadDataError, match="no source 'blog' in recipe tester: it has notes"):
        crawl(job(stores_settings, notes), CrawlOptions(sources=("blog",)))
    with pytest.raises(BadDataError, match="HOST=BASE_URL"):
        crawl(job(stores_settings, notes), CrawlOptions(copies=("e.org",)))
