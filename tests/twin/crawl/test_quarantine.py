"""What a crawl sets aside: in memory at once, in the warehouse in portions."""

from collections.abc import Iterator

import pytest

from tests.twin.stores.commands import Commands, warehouse_of
from twin.crawl.quarantine import ITEMS_PER_WRITE, Quarantine
from twin.settings import Settings
from twin.stores.warehouse import Warehouse


@pytest.fixture
def sent() -> Commands:
    return Commands()


@pytest.fixture
def warehouse(stores_settings: Settings, sent: Commands) -> Iterator[Warehouse]:
    with warehouse_of(stores_settings, sent) as opened:
        yield opened


def quarantine(warehouse: Warehouse) -> Quarantine:
    return Quarantine(warehouse, "ann", "blog")


def reasons(warehouse: Warehouse) -> dict[str, str]:
    return {item.url: item.reason for item in warehouse.quarantined("ann", "blog")}


def test_many_items_take_few_commands(warehouse: Warehouse, sent: Commands) -> None:
    """New ones, known ones, and those that are taken out again."""
    for reason in ("empty", "too large"):
        room = quarantine(warehouse)
        sent.names.clear()
        for number in range(3 * ITEMS_PER_WRITE):
            room.hold(f"u{number}", reason)
        assert len(sent.names) == 3 and len(reasons(warehouse)) == 3 * ITEMS_PER_WRITE
        assert set(reasons(warehouse).values()) == {reason}
    sent.names.clear()
    for number in range(2 * ITEMS_PER_WRITE):
        room.release(f"u{number}")
    assert len(sent.names) == 2
    assert reasons(warehouse).keys() == {
        f"u{number}" for number in range(2 * ITEMS_PER_WRITE, 3 * ITEMS_PER_WRITE)
    }


def test_the_last_word_counts(warehouse: Warehouse) -> None:
    room = quarantine(warehouse)
    room.hold("once", "empty")
    room.hold("twice", "empty")
    room.hold("twice", "too large")
    room.hold("released", "empty")
    room.release("released")
    assert reasons(warehouse) == {}, "nothing is written yet"
    room.flush()
    assert reasons(warehouse) == {"once": "empty", "twice": "too large"}
    later = quarantine(warehouse)
    later.release("once")
    later.release("twice")
    later.hold("twice", "empty")
    later.release("never there")
    later.flush()
    assert reasons(warehouse) == {"twice": "empty"}


def test_an_item_keeps_the_time_when_it_was_first_set_aside(warehouse: Warehouse) -> None:
    for reason in ("empty", "too large"):
        room = quarantine(warehouse)
        room.hold("u", reason)
        room.flush()
    (item,) = warehouse.quarantined("ann")
    assert item.first_seen < item.last_seen


def test_what_another_crawl_has_set_aside_meanwhile_is_updated(warehouse: Warehouse) -> None:
    ours, theirs = quarantine(warehouse), quarantine(warehouse)
    theirs.hold("u", "empty")
    theirs.flush()
    ours.hold("u", "too large")
    ours.hold("v", "empty")
    ours.flush()
    assert reasons(warehouse) == {"u": "too large", "v": "empty"}
