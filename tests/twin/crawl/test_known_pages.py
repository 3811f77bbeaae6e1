"""What is learnt of pages: in memory at once, in the warehouse in portions."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from twin.crawl.known_pages import MAX_LINKS, PAGES_PER_WRITE, KnownPages
from twin.domain.crawl import FetchedPage, page_id
from twin.settings import Settings
from twin.stores.crawl_pages import CrawlPages
from twin.stores.warehouse import open_warehouse

MONDAY = datetime(2026, 1, 5, 10, tzinfo=UTC)


@pytest.fixture
def store(stores_settings: Settings) -> Iterator[CrawlPages]:
    with open_warehouse(stores_settings) as warehouse:
        warehouse.prepare()
        yield CrawlPages(warehouse)


def known(store: CrawlPages) -> KnownPages:
    return KnownPages(store, "ann", "blog", "reader 1", None)


def page(number: int, **fields: object) -> FetchedPage:
    url = f"https://ann.example/{number}"
    values = {
        "id": page_id("ann", "blog", url), "author_id": "ann", "source": "blog", "url": url,
        "fetched": MONDAY + timedelta(seconds=number), "status": 200, "etag": f'"{number}"',
        "body_digest": f"{number:064x}", "reader": "reader 1", "outcome": "stored",
        "document_id": f"d{number // 2}", "links": ("https://ann.example/x",),
        "snapshot": "one.warc.gz", "captured": MONDAY,
    }  # fmt: skip
    return FetchedPage(**{**values, **fields})


def test_pages_are_remembered_whole(store: CrawlPages) -> None:
    pages = known(store)
    for number in range(PAGES_PER_WRITE + 5):
        pages.save(page(number))
    assert len(list(store.pages("ann", "blog"))) == PAGES_PER_WRITE
    pages.flush()
    for memory in (pages, known(store)):
        found = memory.get(page(7).url)
        assert found == page(7, links=()), "links are in the warehouse only"
        assert memory.links(page(7).url) == page(7).links
        assert memory.urls_of_documents()["d3"] == [page(6).url, page(7).url]
        assert memory.get("https://ann.example/none") is None


def test_what_is_as_it_was_costs_no_record_of_its_own(store: CrawlPages) -> None:
    first = known(store)
    for number in range(6):
        first.save(page(number))
    first.flush()
    later = known(store)
    when = MONDAY + timedelta(days=1)
    for number in range(4):
        before = later.get(page(number).url)
        assert before is not None
        asked = {"fetched": when + timedelta(seconds=number), "status": 304, "links": None}
        later.save(before.model_copy(update=asked))
    gone = later.get(page(4).url)
    assert gone is not None
    later.save(gone.model_copy(update={"outcome": "failed", "status": 404, "links": None}))
    later.flush()
    stored = {one.url: one for one in store.pages("ann", "blog")}
    for number in range(4):
        now = stored[page(number).url]
        assert now == page(number, fetched=when, status=304, links=())
        assert later.links(now.url) == page(number).links
    assert stored[page(4).url].outcome == "failed"
    assert stored[page(5).url] == page(5, links=())


def test_another_crawl_may_have_been_first(store: CrawlPages) -> None:
    ours, others = known(store), known(store)
    others.save(page(1, outcome="failed"))
    others.flush()
    ours.save(page(1))
    ours.save(page(1, reason="again", links=None))
    ours.flush()
    (stored,) = store.pages("ann", "blog")
    assert (stored.outcome, stored.reason) == ("stored", "again")
    assert ours.links(stored.url) == page(1).links


def test_too_many_links_are_not_kept(store: CrawlPages) -> None:
    pages = known(store)
    pages.save(page(1, links=tuple(f"https://ann.example/{n}" for n in range(MAX_LINKS + 1))))
    assert pages.conditions(page(1).url, links=True) == {}
    assert pages.conditions(page(1).url, links=False) == {}, "it must be asked for its links"


@pytest.mark.parametrize(
    "fields",
    [
        {"document_id": "1b4e28ba-2fa1-11d2-883f-0016d3cca427"},
        {"document_id": "1B4E28BA-2FA1-11D2-883F-0016D3CCA427"},
        {"document_id": None, "outcome": "failed", "reason": "answered 500: \U0001f600"},
        {"body_digest": "AB" * 32},
        {"body_digest": "no digest"},
        {"status": None, "etag": None, "last_modified": "Mon, 05 Jan 2026 10:00:00 GMT"},
        {"snapshot": None, "captured": None},
        {"fetched": MONDAY + timedelta(milliseconds=7), "captured": MONDAY - timedelta(days=999)},
        {"links": None},
    ],
)
def test_whatever_is_known_of_a_page_comes_back(
    store: CrawlPages, fields: dict[str, object]
) -> None:
    """Memory is packed: what is not as we write it is kept as it is."""
    pages = known(store)
    fields.setdefault("links", ())
    pages.save(page(1))
    pages.save(page(2, **fields, reader="reader 2"))
    found = pages.get(page(2).url)
    assert found == page(2, **fields, reader="reader 2")
    assert pages.get(page(1).url) == page(1, links=())
