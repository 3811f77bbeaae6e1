"""What a crawl brings waits for its end: in a real warehouse."""

from datetime import UTC, datetime

import pytest

from tests.twin.stores.documents import document
from twin.domain.crawl import Change
from twin.domain.document import Document, DocumentStatus
from twin.settings import Settings
from twin.stores.crawl_pages import CrawlPages
from twin.stores.held_documents import HeldDocuments
from twin.stores.holding import Holder
from twin.stores.warehouse import Warehouse, open_warehouse
from twin.stores.warehouse_documents import Noted, Upsert

BLOG, NOTES = Holder("ann", "blog"), Holder("ann", "notes")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
OLD = document("/a", "The old text.", first_seen=LONG_AGO, last_changed=LONG_AGO)
NEW = document("/a", "The new text.", tags=("new",))


@pytest.fixture
def warehouse(stores_settings: Settings):
    with open_warehouse(stores_settings) as opened:
        opened.prepare()
        yield opened


def bring(warehouse: Warehouse, *documents: Document, holder: Holder | None = BLOG) -> list[Change]:
    return warehouse.upsert_all([Upsert(one, "digest") for one in documents], holder=holder)


def live(warehouse: Warehouse) -> list[str]:
    return [one.content for one in warehouse.live_documents("ann")]


def test_a_new_document_is_not_live_until_it_is_accepted(warehouse: Warehouse) -> None:
    held = HeldDocuments(warehouse)
    assert bring(warehouse, NEW) == [Change.ADDED]
    assert (live(warehouse), warehouse.live_count("ann"), warehouse.live_revisions("ann")) == (
        [], 0, {},
    )  # fmt: skip
    assert [one.status for one in held.of("ann")] == [DocumentStatus.HELD]
    assert bring(warehouse, NEW) == [Change.UNCHANGED], "the crawl knows it"
    assert warehouse.fetched_digests("ann", NEW.source) == {NEW.id: "digest"}
    assert held.accept("ann", "notes") == 0
    assert held.accept("ann", "blog") == 1
    assert live(warehouse) == [NEW.content]
    assert (held.of("ann"), held.accept("ann")) == ([], 0)


def test_a_changed_document_stands_as_it_was_until_then(warehouse: Warehouse) -> None:
    held = HeldDocuments(warehouse)
    bring(warehouse, OLD, holder=None)
    noted: list[Noted] = []
    changes = warehouse.upsert_all([Upsert(NEW, "digest")], noted.extend, BLOG)
    assert changes == [Change.CHANGED]
    assert [(one.change, one.before) for one in noted] == [(Change.CHANGED, OLD.revision)]
    (stands,) = warehouse.live_documents("ann")
    assert (stands.content, stands.revision, stands.tags) == (OLD.content, OLD.revision, ())
    assert held.newest_text(NEW.id) == NEW.content
    (waits,) = held.of("ann")
    assert (waits.revision, waits.tags) == (NEW.revision, ("new",))
    assert bring(warehouse, NEW) == [Change.UNCHANGED]
    assert held.accept("ann") == 1
    (stands,) = warehouse.live_documents("ann")
    assert (stands.content, stands.revision, stands.tags) == (NEW.content, NEW.revision, ("new",))
    assert stands.first_seen == LONG_AGO < stands.last_changed
    assert held.of("ann") == []


def test_one_that_is_again_as_it_was_waits_for_nothing(warehouse: Warehouse) -> None:
    bring(warehouse, OLD, holder=None)
    bring(warehouse, NEW)
    assert bring(warehouse, OLD) == [Change.CHANGED]
    assert HeldDocuments(warehouse).of("ann") == []
    assert live(warehouse) == [OLD.content]
    assert HeldDocuments(warehouse).newest_text(OLD.id) == OLD.content


def test_one_that_was_gone_is_not_live_again_at_once(warehouse: Warehouse) -> None:
    bring(warehouse, OLD, holder=None)
    CrawlPages(warehouse).bury([OLD.id])
    assert bring(warehouse, OLD) == [Change.RESTORED]
    assert live(warehouse) == []
    HeldDocuments(warehouse).accept("ann", "blog")
    assert live(warehouse) == [OLD.content]


def test_one_that_goes_while_it_waits_stays_gone(warehouse: Warehouse) -> None:
    bring(warehouse, OLD, holder=None)
    bring(warehouse, NEW, document("/b", "Another."))
    CrawlPages(warehouse).bury([NEW.id])
    assert HeldDocuments(warehouse).accept("ann") == 1
    assert live(warehouse) == [document("/b", "Another.").content]


def test_it_waits_for_the_source_that_brought_it_last(warehouse: Warehouse) -> None:
    bring(warehouse, OLD, holder=BLOG)
    bring(warehouse, OLD, holder=NOTES)
    held = HeldDocuments(warehouse)
    assert (held.accept("ann", "blog"), held.accept("ann", "notes")) == (0, 1)


def test_a_guest_waits_for_the_author_s_source(warehouse: Warehouse) -> None:
    guest = document("/g", "By somebody else.", author="gus")
    bring(warehouse, guest)
    held = HeldDocuments(warehouse)
    assert [one.id for one in held.of("ann")] == [guest.id]
    assert [one.id for one in held.of(None)] == [guest.id]
    held.accept("ann", "blog")
    assert [one.id for one in warehouse.live_documents("gus")] == [guest.id]


def test_more_than_fit_into_one_command(warehouse: Warehouse) -> None:
    many = [document(f"/{number}", f"Text {number}.") for number in range(230)]
    bring(warehouse, *many[:120], holder=None)
    changed = [document(f"/{number}", f"Changed {number}.") for number in range(120)]
    bring(warehouse, *changed, *many[120:])
    assert HeldDocuments(warehouse).accept("ann") == 230
    expected = {one.content for one in (*changed, *many[120:])}
    assert set(live(warehouse)) == expected
