"""Writes that threads make at once share commands; each thread learns of its own only."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo import InsertOne, MongoClient, UpdateOne
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.monitoring import CommandListener

from twin.settings import Settings
from twin.stores.grouped_writes import GroupedWrites

THREADS, EACH = 16, 8


class Commands(CommandListener):
    """Counts commands by their name."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: Any) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: Any) -> None:
        pass

    def failed(self, event: Any) -> None:
        pass


def test_all_are_stored_in_fewer_commands_and_failures_are_ones_own(
    stores_settings: Settings,
) -> None:
    seen = Commands()
    uri = stores_settings.mongo_uri.get_secret_value()
    with MongoClient[dict[str, Any]](uri, event_listeners=[seen]) as client:
        collection = client[stores_settings.mongo_database]["things"]
        collection.insert_one({"_id": "3:7", "by": "another"})
        writes = GroupedWrites(collection)

        def insert(thread: int) -> list[str]:
            failed = []
            for number in range(EACH):
                key = f"{thread}:{number}"
                try:
                    writes.write(InsertOne({"_id": key, "by": "us"}))
                except DuplicateKeyError:
                    failed.append(key)
                writes.write(UpdateOne({"_id": key}, {"$set": {"thread": thread}}, upsert=True))
                # It is stored by now, not later.
                found = collection.find_one({"_id": key})
                assert found is not None and found["thread"] == thread
            return failed

        with ThreadPoolExecutor(THREADS) as pool:
            failed = list(pool.map(insert, range(THREADS)))
        assert failed == [["3:7"] if thread == 3 else [] for thread in range(THREADS)]
        assert collection.count_documents({"by": "us"}) == THREADS * EACH - 1
        assert collection.count_documents({"thread": {"$exists": True}}) == THREADS * EACH
        seen.names.clear()
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(writes.write, [InsertOne({"_id": n}) for n in range(THREADS * EACH)]))
        assert seen.names.count("insert") < THREADS * EACH / 2


def test_who_waits_for_a_server_that_is_away_is_told() -> None:
    with MongoClient[dict[str, Any]](
        "mongodb://127.0.0.1:9/", serverSelectionTimeoutMS=200
    ) as client:
        writes = GroupedWrites(client["d"]["c"])

        def fails(number: int) -> bool:
            with pytest.raises(PyMongoError):
                writes.write(InsertOne({"_id": number}))
            return True

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(fails, range(8)))
