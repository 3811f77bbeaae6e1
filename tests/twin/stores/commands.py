"""A warehouse whose commands are counted."""

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo import MongoClient
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from twin.settings import Settings
from twin.stores.warehouse import Warehouse
from twin.stores.warehouse_connection import Record


class Commands(CommandListener):
    """Names of the commands that a client has sent."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass

    @property
    def writes(self) -> int:
        """How many of them write."""
        return sum(name in {"insert", "update", "delete"} for name in self.names)


@contextmanager
def warehouse_of(settings: Settings, sent: Commands) -> Iterator[Warehouse]:
    """The warehouse of these settings; what it is asked goes into ``sent``."""
    uri = settings.mongo_uri.get_secret_value()
    with MongoClient[Record](uri, tz_aware=True, event_listeners=[sent]) as client:
        warehouse = Warehouse(client[settings.mongo_database], "here")
        warehouse.prepare()
        yield warehouse
