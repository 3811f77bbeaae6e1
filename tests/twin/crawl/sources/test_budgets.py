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
KINDS = ("folder", "bucket", "github", "linkedin_export", "warehouse_dump")


def text(number: int) -> str:
    return f"# Essay {number}\n\nIts number is {number}. {words()}"


@contextmanager
def source(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A source of this kind that has so many documents."""
    files = {f"{number}.md": text(number) for number in range(ITEMS)}
    if kind == "folder":
        for name, content in files.items():
            write(folder / "essays" / name, content)
        yield {"kind": kind, "path": folder / "essays"}
    elif kind == "bucket":
        S3FileSystem.clear_instance_cache()
        with s3_server() as server:
            for name, value in {
                "AWS_ENDPOINT_URL": server.url, "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
            }.items():  # fmt: skip
                monkeypatch.setenv(name, value)
            server.objects.update({f"essays/{name}": files[name].encode() for name in files})
            yield {"kind": kind, "uri": "s3://papers/essays"}
    elif kind == "github":
        (folder / "scratch").mkdir()
        monkeypatch.setenv("TMPDIR", str(folder / "scratch"))
        monkeypatch.setattr(tempfile, "tempdir", None)
        with github(folder / "hub") as hub:
            for number in range(2):  # a budget is a source's, whatever repository it goes to
                hub.add(f"part{number}", {name: files[name] for name in list(files)[number::2]})
            yield {"kind": kind, "user": "tess", "hosts": hub.hosts}
    elif kind == "linkedin_export":
        table = io.StringIO()
        rows = csv.writer(table)
        rows.writerow(["Date", "ShareLink", "ShareCommentary"])
        for number in range(ITEMS):
            link = f"https://www.linkedin.com/feed/update/urn%3Ali%3Ashare%3A{number}"
            rows.writerow(["2024-03-01 09:30:00", link, f"Number {number}. {words()}"])
        write(folder / "export" / "Shares.csv", table.getvalue())
        yield {"kind": kind, "path": folder / "export"}
    else:
        items = [
            {"_id": str(number), "content": {"Content": text(number)}, "author_full_name": "tester"}
            for number in range(ITEMS)
        ]
        yield {"kind": kind, "path": write(folder / "dump.json", json.dumps(items))}


def crawled(settings: Settings, found: dict[str, Any], **limits: object) -> Job:
    done = job(settings, found, **limits)
    with suppress(NothingToDo):
        crawl(done, CrawlOptions())
    return done


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_keeps_to_its_budget(
    kind: str, stores_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with source(kind, tmp_path, monkeypatch) as found:
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
    with source("bucket", tmp_path, monkeypatch) as found:
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
