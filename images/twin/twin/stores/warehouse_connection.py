"""The connection to the warehouse (MongoDB), and what its collections share."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from twin.domain.errors import BadConfigurationError, TryAgainError
from twin.settings import Settings

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.collection import Collection
    from pymongo.database import Database

#: The embedded server compares each record that it finds with every id that was asked for.
IDS_PER_COMMAND = 100
#: Records of a whole source are read in such portions: the driver's own are of 16 MiB, and it
#: unpacks each at once.
RECORDS_PER_ANSWER = 500
# Server codes: Unauthorized, AuthenticationFailed; DuplicateKey.
UNAUTHORISED = {13, 18}
DUPLICATE_KEY = 11000

Record = dict[str, Any]
Item = TypeVar("Item")


class WarehouseConnection:
    """A database of MongoDB. Every method raises `TryAgainError` if the server is away."""

    def __init__(self, database: "Database[Record]", address: str) -> None:
        self._database = database
        self._address = address

    def collection(self, name: str) -> "Collection[Record]":
        """A collection, for modules beside this one; to be used under `plain_errors`."""
        return self._database[name]

    def plain_errors(self) -> AbstractContextManager[None]:
        """Turn the driver's errors into the house's, in one line."""
        return _plain_errors(self._address)

    def prepare(self) -> None:
        """Create the indexes, if they are not there. Writers call it; readers need not."""
        with self.plain_errors():
            self.collection("documents").create_index([("author_id", 1), ("status", 1)])
            self.collection("documents").create_index([("author_id", 1), ("source", 1)])
            self.collection("documents").create_index("url")
            self.collection("documents").create_index([("held.author", 1), ("held.source", 1)])
            self.collection("forgotten").create_index("author_id")
            self.collection("signatures").create_index("author_id")
            self.collection("revisions").create_index([("document_id", 1), ("seen", 1)])
            self.collection("quarantine").create_index([("author_id", 1), ("source", 1)])
            self.collection("crawls").create_index([("recipe", 1), ("source", 1), ("finished", -1)])
            self.collection("pages").create_index([("author_id", 1), ("source", 1)])
            self.collection("pages").create_index("document_id")
            self.collection("changes").create_index("crawl_id")
            self.collection("changes").create_index([("author_id", 1), ("source", 1)])

    def add_new(self, collection: str, records: Sequence[Record]) -> list[int]:
        """Add records; for modules beside this one, to be used under `plain_errors`.

        Inserts, because the embedded server puts many of them on disk at once, and every upsert
        on its own.

        Returns:
            Positions of those that were left out, for there is a record of their id.
        """
        from pymongo.errors import BulkWriteError

        if not records:
            return []
        try:
            self.collection(collection).insert_many(records, ordered=False)
        except BulkWriteError as error:
            failed = error.details.get("writeErrors", [])
            if any(one.get("code") != DUPLICATE_KEY for one in failed):
                raise
            if error.details.get("writeConcernErrors"):
                raise
            return sorted(one["index"] for one in failed)
        return []


def client_of(settings: Settings, **options: Any) -> "MongoClient[Record]":
    """The driver's client of the settings' address, not connected yet.

    Raises:
        BadConfigurationError: the URI is malformed.
    """
    from pymongo import MongoClient
    from pymongo.errors import InvalidURI, PyMongoError

    uri = settings.mongo_uri.get_secret_value()
    try:
        return MongoClient(uri, tz_aware=True, tzinfo=UTC, **options)
    except (InvalidURI, ValueError, PyMongoError) as error:
        # The driver's own text may quote the URI, so only its class is shown.
        raise BadConfigurationError(
            f"TWIN_MONGO_URI is not a usable MongoDB URI ({type(error).__name__}): "
            "it looks like mongodb://user:password@host:27017/"
        ) from None


def address_of(uri: str) -> str:
    """Hosts and ports of a URI, without its credentials."""
    from pymongo.uri_parser import parse_uri

    return ", ".join(f"{host}:{port}" for host, port in parse_uri(uri)["nodelist"])


@contextmanager
def _plain_errors(address: str) -> Iterator[None]:
    """Turn the driver's errors into the house's, in one line.

    Raises:
        TryAgainError: the server is away or in trouble.
        BadConfigurationError: it refuses these credentials.
    """
    from pymongo.errors import ConfigurationError, ConnectionFailure, OperationFailure, PyMongoError

    try:
        yield
    except ConnectionFailure:
        raise TryAgainError(
            f"the warehouse (MongoDB at {address}) does not answer: is it started? "
            "`make up` starts the embedded one; TWIN_MONGO_URI names another"
        ) from None
    except ConfigurationError as error:
        raise BadConfigurationError(f"the warehouse at {address}: {_line(error)}") from None
    except OperationFailure as error:
        if error.code in UNAUTHORISED:
            raise BadConfigurationError(
                f"the warehouse at {address} refuses these credentials: see TWIN_MONGO_URI"
            ) from None
        raise TryAgainError(f"the warehouse at {address} failed: {_line(error)}") from None
    except PyMongoError as error:
        raise TryAgainError(f"the warehouse at {address} failed: {_line(error)}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def slices(ids: Iterable[str]) -> Iterator[list[str]]:
    """Ids in portions that fit into one command."""
    for some in batched(sorted(ids)):
        yield list(some)


def batched(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Items in portions that fit into one command."""
    for start in range(0, len(items), IDS_PER_COMMAND):
        yield items[start : start + IDS_PER_COMMAND]


def storable(record: BaseModel) -> Record:
    """A model as MongoDB stores it: without its id, tuples as lists, times cut to milliseconds."""
    data = record.model_dump(exclude={"id"})
    return {key: _value(value) for key, value in data.items()}


def _value(value: object) -> object:
    if isinstance(value, datetime):  # MongoDB keeps milliseconds
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.replace(microsecond=aware.microsecond // 1000 * 1000)
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, str) else value
