"""The warehouse against a real server that speaks MongoDB's protocol."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests import servers
from tests.twin.stores.commands import Commands, warehouse_of
from tests.twin.stores.documents import document
from twin.domain.crawl import Change, CrawlRecord, CrawlStatus
from twin.domain.document import DocumentStatus
from twin.domain.errors import BadConfigurationError, TryAgainError
from twin.settings import Settings
from twin.stores.warehouse import Warehouse, open_warehouse
from twin.stores.warehouse_documents import Upsert


@pytest.fixture
def warehouse(stores_settings: Settings) -> Iterator[Warehouse]:
    with open_warehouse(stores_settings) as opened:
        opened.prepare()
        yield opened


def test_a_document_comes_back_as_it_was_stored(warehouse: Warehouse) -> None:
    sent = document(
        "one", "Ünïcode\n\n```\n\ncode\n```\n", tags=("a", "b"), subtitle="Sub", language="en",
        published=datetime(2026, 3, 1, 10, tzinfo=UTC),
    )  # fmt: skip
    assert warehouse.upsert(sent) is Change.ADDED
    back = warehouse.document(sent.id)
    assert back is not None
    # MongoDB keeps milliseconds.
    times = {"first_seen", "last_changed"}
    assert back.model_dump(exclude=times) == sent.model_dump(exclude=times)
    assert abs(back.first_seen - sent.first_seen) < timedelta(milliseconds=1)
    assert warehouse.documents_at(sent.url) == [back]
    assert warehouse.document("nobody") is None


def test_documents_of_some_ids(warehouse: Warehouse) -> None:
    some = [document(f"post-{number}") for number in range(5)]
    for item in [*some, document("theirs", author="bob")]:
        warehouse.upsert(item)
    warehouse.upsert(some[1].model_copy(update={"status": DocumentStatus.GONE}))
    theirs = document("theirs", author="bob").id
    wanted = [some[0].id, some[1].id, some[2].id, theirs, "nobody", *(f"x{n}" for n in range(2500))]
    found = [item.id for item in warehouse.live_documents("ann", wanted)]
    assert found == sorted([some[0].id, some[2].id])
    assert list(warehouse.live_documents("ann", [])) == []


def test_the_same_again_changes_nothing(warehouse: Warehouse) -> None:
    first = document("one")
    warehouse.upsert(first)
    stored = warehouse.document(first.id)
    assert warehouse.upsert(document("one")) is Change.UNCHANGED
    assert warehouse.document(first.id) == stored
    assert len(warehouse.revisions(first.id)) == 1


def test_a_changed_text_is_a_new_revision_and_the_old_one_is_kept(warehouse: Warehouse) -> None:
    old = document("one", "Old.")
    new = document("one", "New.", last_changed=old.last_changed + timedelta(days=1))
    warehouse.upsert(old)
    assert warehouse.upsert(new) is Change.CHANGED
    stored = warehouse.document(old.id)
    assert stored is not None and stored.content == "New."
    assert abs(stored.first_seen - old.first_seen) < timedelta(milliseconds=1)
    assert stored.last_changed > stored.first_seen
    assert [item.content for item in warehouse.revisions(old.id)] == ["Old.", "New."]
    # Back to the old text: a change, but no text that was not known.
    assert warehouse.upsert(document("one", "Old.")) is Change.CHANGED
    assert len(warehouse.revisions(old.id)) == 2


def test_news_about_a_document_are_stored_without_a_revision(warehouse: Warehouse) -> None:
    warehouse.upsert(document("one"))
    assert warehouse.upsert(document("one", tags=("late",))) is Change.UNCHANGED
    (stored,) = warehouse.live_documents("ann")
    assert stored.tags == ("late",) and stored.content == "Some text."


def test_a_document_that_was_gone_is_restored(warehouse: Warehouse) -> None:
    gone = document("one")
    warehouse.upsert(gone)
    warehouse.collection("documents").update_one({"_id": gone.id}, {"$set": {"status": "gone"}})
    assert list(warehouse.live_documents("ann")) == []
    assert [item.id for item in warehouse.summaries("ann", DocumentStatus.GONE)] == [gone.id]
    assert warehouse.upsert(document("one")) is Change.RESTORED
    assert warehouse.live_revisions("ann") == {gone.id: gone.revision}


def test_authors_do_not_see_each_other(warehouse: Warehouse) -> None:
    for author in ("ann", "bob"):
        for path in ("one", "two"):
            warehouse.upsert(document(path, author=author))
    assert {item.author_name for item in warehouse.live_documents("ann")} == {"Ann"}
    assert warehouse.live_count("ann") == 2
    assert set(warehouse.live_revisions("ann")).isdisjoint(warehouse.live_revisions("bob"))
    assert [item.author_id for item in warehouse.summaries()] == ["ann", "ann", "bob", "bob"]
    assert {item.content for item in warehouse.summaries()} == {""}


def test_a_kill_between_revision_and_document_is_made_up_for(warehouse: Warehouse) -> None:
    half = document("one")
    warehouse._keep_revisions([half])  # …and there the crawl was killed
    assert list(warehouse.live_documents("ann")) == []
    assert warehouse.upsert(half) is Change.ADDED
    assert len(warehouse.revisions(half.id)) == 1


def test_many_threads_storing_one_document_leave_one(warehouse: Warehouse) -> None:
    texts = [document("one", f"Text {number % 3}.") for number in range(24)]
    with ThreadPoolExecutor(8) as threads:
        changes = list(threads.map(warehouse.upsert, texts))
    assert changes.count(Change.ADDED) == 1
    (stored,) = warehouse.live_documents("ann")
    assert stored.revision in {text.revision for text in texts}
    assert len(warehouse.revisions(stored.id)) == 3


def test_a_document_that_another_crawl_changes_meanwhile_is_read_again(
    warehouse: Warehouse,
) -> None:
    """The other crawl comes between reading and writing; neither text is lost."""
    warehouse.upsert_all([Upsert(document(f"post-{number}", "Old.")) for number in range(5)])
    other = [document("post-3", "Theirs.")]

    def meanwhile(_noted: object) -> None:
        while other:
            assert warehouse.upsert(other.pop()) is Change.CHANGED

    news = [document(f"post-{number}", "Ours.") for number in range(5)]
    changes = warehouse.upsert_all([Upsert(item, "digest") for item in news], meanwhile)
    assert changes == [Change.CHANGED] * 5
    for number, item in enumerate(news):
        stored = warehouse.document(item.id)
        assert stored is not None and stored.content == "Ours."
        texts = [revision.content for revision in warehouse.revisions(item.id)]
        assert sorted(texts) == sorted(["Old.", "Ours."] + ["Theirs."] * (number == 3))
    assert len(warehouse.fetched_digests("ann", "blog")) == 5


def test_a_document_that_another_crawl_has_made_the_same_meanwhile_is_done(
    warehouse: Warehouse,
) -> None:
    warehouse.upsert_all([Upsert(document(path, "Old."), "old") for path in ("one", "two")])

    def meanwhile(_noted: object) -> None:
        warehouse.upsert_all([Upsert(document("one", "New.", last_changed=when), "new")])

    when = datetime(2026, 3, 1, 10, tzinfo=UTC)
    news = [Upsert(document(path, "New.", last_changed=when), "new") for path in ("one", "two")]
    assert warehouse.upsert_all(news, meanwhile) == [Change.CHANGED] * 2
    assert {item.content for item in warehouse.live_documents("ann")} == {"New."}


def test_many_changed_documents_take_as_many_commands_as_one(stores_settings: Settings) -> None:
    """The embedded server goes through all the commands it remembers with every further one."""
    sent = Commands()
    with warehouse_of(stores_settings, sent) as warehouse:
        counts = []
        for number in (1, 40):
            for text in ("Old.", "New."):
                sent.names.clear()
                upserts = [Upsert(document(f"{number}-{n}", text)) for n in range(number)]
                warehouse.upsert_all(upserts)
            counts.append(Counter(sent.names))
    assert counts[0] == counts[1] == {"find": 1, "insert": 1, "update": 1}


def test_many_marks_take_one_command_and_spare_what_has_changed(stores_settings: Settings) -> None:
    sent = Commands()
    with warehouse_of(stores_settings, sent) as warehouse:
        warehouse.upsert_all([Upsert(document(f"post-{n}", "Old.")) for n in range(40)])
        seen = warehouse.standing("ann")
        warehouse.upsert(document("post-7", "New."))
        marks = [(item, DocumentStatus.DUPLICATE, ("https://b.example/x",)) for item in seen]
        sent.names.clear()
        assert warehouse.mark_cross_posts(marks) == 39
        assert sent.names == ["update"]
        (spared,) = warehouse.live_documents("ann")
        assert (spared.content, spared.also_at) == ("New.", ())
        again = [(item, DocumentStatus.LIVE, ()) for item in warehouse.standing("ann")]
        assert warehouse.mark_cross_posts(again) == 40
        assert len(list(warehouse.live_documents("ann"))) == 40


def test_fetched_digests_and_sightings(warehouse: Warehouse) -> None:
    one, two = document("one"), document("two")
    warehouse.upsert(one, fetched="abc")
    warehouse.upsert(two)
    assert warehouse.fetched_digests("ann", "blog") == {one.id: "abc"}
    assert warehouse.fetched_digests("ann", "other") == {}
    when = datetime(2030, 1, 1, tzinfo=UTC)
    warehouse.mark_seen([one.id], when)
    seen = {item["_id"]: item["last_seen"] for item in warehouse.records("documents")}
    assert seen[one.id] == when and seen[two.id] != when


def test_the_fingerprint_of_a_source_follows_its_texts(warehouse: Warehouse) -> None:
    warehouse.upsert(document("one"))
    before = warehouse.source_fingerprint("ann", "blog")
    warehouse.upsert(document("one", tags=("x",)))
    warehouse.upsert(document("one", author="bob"))
    assert warehouse.source_fingerprint("ann", "blog") == before
    warehouse.upsert(document("one", "Other."))
    assert warehouse.source_fingerprint("ann", "blog") != before


def test_quarantine_keeps_an_item_once_with_its_last_reason(warehouse: Warehouse) -> None:
    for reason in ("empty", "too large"):
        warehouse.quarantine(author_id="ann", source="blog", url="u", reason=reason)
    (item,) = warehouse.quarantined("ann")
    assert (item.url, item.reason) == ("u", "too large") and item.first_seen <= item.last_seen
    assert warehouse.quarantined("ann", "other") == [] and warehouse.quarantined("bob") == []
    warehouse.release([item.id])
    assert warehouse.quarantined("ann") == []


def test_the_last_crawl_is_the_newest_that_ended_well(warehouse: Warehouse) -> None:
    assert warehouse.last_crawl("r", "blog") is None
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for day, status in enumerate([CrawlStatus.DONE, CrawlStatus.DONE, CrawlStatus.FAILED]):
        when = start + timedelta(days=day)
        warehouse.save_crawl(
            CrawlRecord(
                id=f"{day}:blog", run_id=str(day), recipe="r", author_id="ann", source="blog",
                started=when, finished=when, status=status, fingerprint=f"f{day}",
            )
        )  # fmt: skip
    last = warehouse.last_crawl("r", "blog")
    assert last is not None and last.fingerprint == "f1"


def test_a_server_that_is_away_is_named_without_its_password(settings: Settings) -> None:
    uri = "mongodb://user:hunter2@127.0.0.1:1/?serverSelectionTimeoutMS=200"
    away = settings.model_copy(update={"mongo_uri": SecretStr(uri)})
    words = r"127\.0\.0\.1:1.*make up"
    with pytest.raises(TryAgainError, match=words) as caught, open_warehouse(away):
        pass
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("uri", ["http://user:hunter2@x/", "mongodb://user:hunter2@:x/", ""])
def test_a_malformed_uri_is_refused_without_showing_it(settings: Settings, uri: str) -> None:
    wrong = settings.model_copy(update={"mongo_uri": SecretStr(uri)})
    with (
        pytest.raises(BadConfigurationError, match="TWIN_MONGO_URI") as caught,
        open_warehouse(wrong),
    ):
        pass
    assert "hunter2" not in str(caught.value)


def test_a_killed_server_loses_nothing_that_was_acknowledged(
    settings: Settings, tmp_path: Path
) -> None:
    folder, port = tmp_path / "server" / "data", servers.free_port()
    stored: list[str] = []
    with servers.warehouse_server(folder, port) as (uri, _, pid):
        live = settings.model_copy(update={"mongo_uri": SecretStr(uri)})
        with pytest.raises(TryAgainError, match="does not answer"), open_warehouse(live) as opened:
            for number in range(1000):
                item = document(f"page-{number}")
                opened.upsert(item)
                stored.append(item.id)
                if number == 50:
                    os.kill(pid, signal.SIGKILL)
    with servers.warehouse_server(folder, port), open_warehouse(live) as opened:
        assert set(stored) <= set(opened.live_revisions("ann"))
        for item in opened.live_documents("ann"):
            assert [text.revision for text in opened.revisions(item.id)] == [item.revision]
