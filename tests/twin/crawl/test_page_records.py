"""What stays of a page: its bytes in a snapshot, and what is asked about at the next crawl."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from twin.crawl.known_pages import KnownPages
from twin.crawl.page import Exchange, Page
from twin.crawl.page_records import PageRecords
from twin.crawl.recorder import Recorder
from twin.crawl.workspace import Workspace
from twin.domain.crawl import FetchedPage
from twin.settings import Settings
from twin.stores.crawl_pages import CrawlPages
from twin.stores.snapshots import Snapshots, open_snapshots
from twin.stores.warehouse import open_warehouse

URL = "https://ann.example/post"
MONDAY = datetime(2026, 1, 5, 10, tzinfo=UTC)
ANSWER = Exchange(200, (("User-Agent", "us"),), (("etag", '"1"'), ("Last-Modified", "Monday")))
PAGE = Page(URL, b"<p>Tides.", "text/html", fetched=MONDAY, exchange=ANSWER, links=(f"{URL}/2",))


class Kept:
    """One source's memory and snapshots."""

    def __init__(self, store: CrawlPages, snapshots: Snapshots, folder: Path) -> None:
        self.recorder = Recorder(snapshots, Workspace(folder), "blog", "r1")
        self.pages = KnownPages(store, "ann", "blog", "rules 1", self.recorder.names)
        self.records = PageRecords(self.pages, self.recorder, "ann", "blog", "rules 1")
        self._snapshots = snapshots

    def of_page(self) -> FetchedPage:
        known = self.pages.get(URL)
        assert known is not None
        return known

    def bodies(self) -> list[tuple[str, bytes]]:
        """Kind and body of every record."""
        self.recorder.close()
        entries = self._snapshots.entries("blog")
        return [(one.type, self._snapshots.read("blog", one).body) for one in entries]


@pytest.fixture
def kept(stores_settings: Settings, tmp_path: Path) -> Iterator[Kept]:
    with open_warehouse(stores_settings) as warehouse:
        warehouse.prepare()
        with open_snapshots(stores_settings, "ann") as snapshots:
            yield Kept(CrawlPages(warehouse), snapshots, tmp_path / "crawl")


def test_a_page_is_remembered_with_its_validators_and_its_snapshot(kept: Kept) -> None:
    kept.records.keep(PAGE, "digest", "stored", "", "d1", raw=True)
    known = kept.of_page()
    assert (known.status, known.etag, known.last_modified) == (200, '"1"', "Monday")
    assert (known.body_digest, known.reader, known.outcome) == ("digest", "rules 1", "stored")
    assert (known.document_id, known.fetched, known.captured) == ("d1", MONDAY, MONDAY)
    assert known.snapshot in kept.recorder.names
    assert kept.bodies() == [("response", PAGE.body)]


def test_the_same_bytes_are_kept_once(kept: Kept) -> None:
    kept.records.keep(PAGE, "digest", "stored", "", "d1", raw=True)
    first = kept.of_page()
    later = replace(PAGE, fetched=MONDAY + timedelta(days=1))
    kept.records.keep(later, "digest", "stored", "", "d1", raw=True)
    again = kept.of_page()
    assert (again.snapshot, again.captured) == (first.snapshot, MONDAY)
    assert again.fetched == later.fetched
    assert kept.bodies() == [("response", PAGE.body), ("revisit", b"")]


def test_what_may_not_be_kept_leaves_no_bytes(kept: Kept) -> None:
    kept.records.keep(PAGE, "digest", "skipped", "forgotten", raw=False)
    known = kept.of_page()
    assert (known.outcome, known.reason, known.snapshot, known.captured) == (
        "skipped", "forgotten", None, None,
    )  # fmt: skip
    assert kept.bodies() == []


def test_a_reservation_by_headers_is_asked_for_each_time(kept: Kept) -> None:
    kept.records.keep(replace(PAGE, reserved=("tdm",)), "digest", "skipped", "reserved", raw=True)
    known = kept.of_page()
    assert (known.etag, known.last_modified, known.reader) == (None, None, "")
    assert kept.pages.conditions(URL, links=False) == {}


def test_a_page_that_is_unchanged_keeps_what_was_known_of_it(kept: Kept) -> None:
    kept.records.keep(PAGE, "digest", "stored", "", "d1", raw=True)
    kept.pages.flush()
    before = kept.of_page()
    when = MONDAY + timedelta(days=1)
    kept.records.keep_unchanged(before, Exchange(304, (), (("ETag", '"2"'),)), when)
    kept.pages.flush()
    known = kept.of_page()
    news = {"fetched": when, "status": 304, "etag": '"2"'}
    assert known == before.model_copy(update=news)
    assert kept.pages.links(URL) == PAGE.links
    assert kept.bodies() == [("response", PAGE.body), ("revisit", b"")]
