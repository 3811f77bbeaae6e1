"""Keys and the audit log against a real server that speaks MongoDB's protocol."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from twin.domain.api_key import ApiKey, KeyLimits, Right, Secret, key_digest
from twin.domain.errors import BadDataError, TryAgainError
from twin.settings import Settings
from twin.stores.api_keys import COLLECTION, ApiKeys
from twin.stores.audit import Actor, Audit, note_action
from twin.stores.warehouse import Warehouse, open_warehouse

ADA = Actor("ada")
#: As precise as the store is.
NOW = datetime.now(UTC).replace(microsecond=0)


def key(name: str, **more: object) -> ApiKey:
    fields: dict[str, object] = {
        "name": name,
        "secrets": (Secret(digest=key_digest(name), created=NOW),),
        "rights": (Right.ASK, Right.FEEDBACK),
        "created": NOW,
        "created_by": "ada",
        **more,
    }
    return ApiKey.model_validate(fields)


@pytest.fixture
def warehouse(stores_settings: Settings) -> Iterator[Warehouse]:
    with open_warehouse(stores_settings) as opened:
        yield opened


@pytest.fixture
def keys(warehouse: Warehouse) -> ApiKeys:
    return ApiKeys(warehouse)


def test_a_key_comes_back_as_it_was_stored(keys: ApiKeys) -> None:
    limits = KeyLimits(requests_per_minute=3, tokens_per_day=0)
    sent = key("one", twins=("twin-a",), limits=limits, expires=NOW + timedelta(days=1))
    keys.add(sent, ADA)
    assert keys.all() == keys.live() == [sent]
    assert keys.find("one") == keys.find(sent.id) == sent


def test_what_is_over_or_revoked_is_listed_and_not_live(keys: ApiKeys) -> None:
    over, open_, revoked = key("over", expires=NOW - timedelta(days=1)), key("open"), key("gone")
    for one in (over, open_, revoked):
        keys.add(one, ADA)
    keys.revoke(revoked, ADA)
    assert [one.name for one in keys.live()] == ["open"]
    assert {one.name for one in keys.all()} == {"over", "open", "gone"}
    for name in ("over", revoked.id, "nobody"):
        with pytest.raises(BadDataError, match="list --all"):
            keys.find(name)


def test_a_live_keys_name_is_taken(keys: ApiKeys) -> None:
    first = key("one")
    keys.add(first, ADA)
    with pytest.raises(BadDataError, match="named 'one'"):
        keys.add(key("one"), ADA)
    keys.revoke(first, ADA)
    keys.add(key("one"), ADA)


def test_rotating_leaves_the_old_text_for_the_grace_period(keys: ApiKeys) -> None:
    keys.add(key("one"), ADA)
    text = keys.rotate(keys.find("one"), timedelta(hours=2), ADA)
    new, old = keys.find("one").secrets
    assert (new.digest, new.expires) == (key_digest(text), None)
    assert old.digest == key_digest("one")
    assert old.expires is not None
    assert timedelta(hours=1, minutes=59) < old.expires - NOW < timedelta(hours=3)


def test_rotating_again_lengthens_no_grace_and_without_any_the_old_texts_go(keys: ApiKeys) -> None:
    keys.add(key("one"), ADA)
    keys.rotate(keys.find("one"), timedelta(hours=1), ADA)
    keys.rotate(keys.find("one"), timedelta(hours=9), ADA)
    _, second, first = keys.find("one").secrets
    assert first.expires is not None
    assert second.expires is not None
    assert second.expires - first.expires > timedelta(hours=7)
    keys.rotate(keys.find("one"), timedelta(), ADA)
    assert len(keys.find("one").secrets) == 1


def test_of_two_who_rotate_at_once_one_is_told(keys: ApiKeys) -> None:
    keys.add(key("one"), ADA)
    seen = keys.find("one")
    keys.rotate(seen, timedelta(), ADA)
    with pytest.raises(BadDataError, match="changed meanwhile"):
        keys.rotate(seen, timedelta(), ADA)


def test_a_key_that_can_not_be_read_opens_nothing_and_the_others_do(
    keys: ApiKeys, warehouse: Warehouse
) -> None:
    keys.add(key("one"), ADA)
    record = {"_id": "odd", "revoked": None, "expires": None, "created": NOW, "name": 7}
    warehouse.collection(COLLECTION).insert_one(record)
    with capture_logs() as logs:
        assert [one.name for one in keys.live()] == ["one"]
    assert [line["key"] for line in logs] == ["odd"]


def test_every_change_is_in_the_audit_log(keys: ApiKeys, warehouse: Warehouse) -> None:
    made = key("one", twins=("twin-a",))
    keys.add(made, ADA)
    text = keys.rotate(keys.find("one"), timedelta(hours=1), Actor("bob", "run-7"))
    keys.revoke(keys.find("one"), ADA)
    entries = Audit(warehouse).entries(10)
    assert [(one.action, one.subject, one.actor, one.run_id) for one in entries] == [
        ("key created", made.id, "ada", None),
        ("key rotated", made.id, "bob", "run-7"),
        ("key revoked", made.id, "ada", None),
    ]
    assert entries[0].detail["twins"] == ["twin-a"]
    assert entries[1].detail == {"name": "one", "grace_seconds": 3600}
    shown = str(entries)
    assert text not in shown
    assert key_digest(text) not in shown


def test_the_newest_entries_of_one_action(warehouse: Warehouse) -> None:
    audit = Audit(warehouse)
    for number in range(4):
        audit.record("promoted" if number % 2 else "forgotten", str(number), ADA)
    assert [one.subject for one in audit.entries(3)] == ["1", "2", "3"]
    assert [one.subject for one in audit.entries(1, "forgotten")] == ["2"]


def test_a_job_notes_what_it_did_and_who_the_setting_says(stores_settings: Settings) -> None:
    changed = stores_settings.model_copy(update={"actor": "airflow:ada"})
    note_action(changed, "promoted", "twin-a version 3", "run-1", {"before": "2"})
    with open_warehouse(stores_settings) as warehouse:
        (entry,) = Audit(warehouse).entries(5)
    assert (entry.actor, entry.run_id, entry.detail) == ("airflow:ada", "run-1", {"before": "2"})


def test_an_action_goes_on_while_the_log_is_away_and_is_logged(settings: Settings) -> None:
    with capture_logs() as logs:
        note_action(settings, "rolled back", "twin-a version 3", "run-1")
    (line,) = logs
    assert (line["action"], line["log_level"]) == ("rolled back", "warning")
    assert line["actor"]


def test_a_warehouse_that_is_away_is_said(settings: Settings) -> None:
    with pytest.raises(TryAgainError), open_warehouse(settings) as warehouse:
        ApiKeys(warehouse).live()
