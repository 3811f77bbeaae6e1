"""The crawl's budget (pages, bytes, seconds) holds for every kind of source, not for sites only."""

import csv
import io
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from s3fs import S3FileSystem

from tests.twin.crawl.formats.pages import words, write
from tests.twin.crawl.sources.git_server import github
from tests.twin.crawl.sources.jobs import documents, job
from tests.twin.crawl.sources.s3_server import s3_server
from twin.crawl.budget import Budget
from twin.crawl.run import CrawlOptions, crawl
from twin.domain.errors import NothingToDo
from twin.job import Job
from twin.recipes import CrawlSection
from twin.settings import Settings

ITEMS = 4


def text(number: int) -> str:
    return f"# Essay {number}\n\nIts number is {number}. {words()}"


FILES = {f"{number}.md": text(number) for number in range(ITEMS)}


@contextmanager
def folder_source(folder: Path, _: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    for name, content in FILES.items():
        write(folder / "essays" / name, content)
    yield {"kind": "folder", "path": folder / "essays"}


@contextmanager
def bucket_source(_: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    S3FileSystem.clear_instance_cache()
    with s3_server() as server:
        for name, value in {
            "AWS_ENDPOINT_URL": server.url, "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        server.objects.update({f"essays/{name}": FILES[name].encode() for name in FILES})
        yield {"kind": "bucket", "uri": "s3://papers/essays"}


@contextmanager
def github_source(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Two repositories: a budget is the source's, whichever it goes to."""
    (folder / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(folder / "scratch"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with github(folder / "hub") as hub:
        for number in range(2):
            hub.add(f"part{number}", {name: FILES[name] for name in list(FILES)[number::2]})
        yield {"kind": "github", "user": "tess", "hosts": hub.hosts}


@contextmanager
def linkedin_source(folder: Path, _: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["Date", "ShareLink", "ShareCommentary"])
    for number in range(ITEMS):
        link = f"https://www.linkedin.com/feed/update/urn%3Ali%3Ashare%3A{number}"
        rows.writerow(["2024-03-01 09:30:00", link, f"Number {number}. {words()}"])
    write(folder / "export" / "Shares.csv", table.getvalue())
    yield {"kind": "linkedin_export", "path": folder / "export"}


@contextmanager
def dump_source(folder: Path, _: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    items = [
        {"_id": str(number), "content": {"Content": text(number)}, "author_full_name": "tester"}
        for number in range(ITEMS)
    ]
    yield {"kind": "warehouse_dump", "path": write(folder / "dump.json", json.dumps(items))}


def crawled(settings: Settings, found: dict[str, Any], **limits: object) -> Job:
    done = job(settings, found, **limits)
    with suppress(NothingToDo):
        crawl(done, CrawlOptions())
    return done


@pytest.mark.parametrize(
    "source", [folder_source, bucket_source, github_source, linkedin_source, dump_source]
)
def test_a_source_keeps_to_its_budget(
    source: Any, stores_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with source(tmp_path, monkeypatch) as found:
        some = crawled(stores_settings, found, max_pages=2)
        assert len(documents(stores_settings)) == 2
        assert some.result.detail["source: beyond crawl.max_pages"] == ITEMS - 2
        few = crawled(stores_settings, found, max_bytes=1, snapshots=False)
        assert few.result.detail["source: stopped by"] == "crawl.max_bytes"
        everything = crawled(stores_settings, found)
        assert len(documents(stores_settings)) == ITEMS
        assert not {key for key in everything.result.detail if key.startswith("source: ")}
        # What was left out is not gone, and news is still taken.
        cut = crawled(stores_settings, found, max_pages=1)
        assert cut.result.detail["source: beyond crawl.max_pages"] == ITEMS - 1
        assert len(documents(stores_settings)) == ITEMS


def test_an_unchanged_object_costs_no_bytes(
    stores_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a bucket that is larger than a crawl's budget is read by several crawls."""
    size = len(text(0))
    with bucket_source(tmp_path, monkeypatch) as found:
        for expected in (2, 4):
            crawled(stores_settings, found, max_bytes=2 * size)
            assert len(documents(stores_settings)) == expected


def test_time_is_a_budget_too() -> None:
    budget = Budget(CrawlSection(max_seconds=1))
    taken = []
    for item in budget.allowed(range(100)):
        taken.append(item)
        time.sleep(0.3)
    assert 3 <= len(taken) <= 5
    assert (budget.stopped_by, budget.cuts_short) == ("crawl.max_seconds", True)
