"""The warehouse: every document of every author, with its history, in MongoDB.

Collections, each keyed by ``_id``: ``documents`` (the text as it stands), ``revisions`` (every
text a document has had, the current one too), ``quarantine`` (what could not be used),
``crawls`` (one record a crawl and source), and those of `twin.stores.crawl_pages`. ``signatures``
holds what `twin features build` compares documents by, and can be made again. A revision is
written before the document that shows it, so that a kill between the two loses nothing and the
next upsert finishes the work.
"""

import hashlib
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from twin.domain.crawl import Change, CrawlRecord, CrawlStatus, QuarantinedItem, quarantine_id
from twin.domain.document import (
    PUBLISHED_VALUES,
    STANDING,
    Document,
    DocumentStatus,
    Forgotten,
    Revision,
)
from twin.domain.errors import BadConfigurationError, TryAgainError
from twin.settings import Settings
from twin.stores.holding import NOTHING_HELD, Holder, held_back, newest

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.collection import Collection
    from pymongo.database import Database

#: Fields of a stored document that are bookkeeping of the crawl, not part of `Document`.
BOOKKEEPING = ("last_seen", "fetched", "missed_in", "coming", "held")
COLLECTIONS = ("revisions", "documents", "quarantine", "crawls", "forgotten", "pages", "changes")
#: The embedded server compares each record that it finds with every id that was asked for.
IDS_PER_COMMAND = 100
#: Records of a whole source are read in such portions: the driver's own are of 16 MiB, and it
#: unpacks each at once.
RECORDS_PER_ANSWER = 500
#: What a document must still have for it to be written: what it had when it was read.
_GUARDS = ("revision", "status")
ATTEMPTS = 20
LONGEST_PAUSE_SECONDS = 0.05
#: `STANDING` as queries have it.
STANDING_VALUES = sorted(status.value for status in STANDING)
# Server codes: Unauthorized, AuthenticationFailed; DuplicateKey.
UNAUTHORISED = {13, 18}
DUPLICATE_KEY = 11000

Record = dict[str, Any]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Upsert:
    """A document as it was read.

    Attributes:
        document: its ``status`` must be live.
        fetched: digest of the bytes it was made from, see `Warehouse.fetched_digests`.
    """

    document: Document
    fetched: str | None = None


@dataclass(frozen=True)
class Noted:
    """What is about to become of a document.

    Attributes:
        before: the revision that stands so far.
    """

    document: Document
    change: Change
    before: str | None


@contextmanager
def open_warehouse(settings: Settings) -> Iterator["Warehouse"]:
    """Connect to the warehouse for the length of a ``with`` block.

    Raises:
        TryAgainError: nothing answers at the address; the message never shows the password.
        BadConfigurationError: the URI is malformed or the credentials are refused.
    """
    client = _client(settings)
    address = _address(settings.mongo_uri.get_secret_value())
    try:
        with _plain_errors(address):
            client.admin.command("ping")
        yield Warehouse(client[settings.mongo_database], address)
    finally:
        client.close()


def lasting_warehouse(settings: Settings) -> "Warehouse":
    """A warehouse for the life of a process that must not wait for it: see `open_warehouse`.

    It is connected at its first use; a server that is away is given up after seconds.

    Raises:
        BadConfigurationError: the URI is malformed.
    """
    client = _client(settings, serverSelectionTimeoutMS=2_000, timeoutMS=3_000)
    address = _address(settings.mongo_uri.get_secret_value())
    return Warehouse(client[settings.mongo_database], address)


def _client(settings: Settings, **options: Any) -> "MongoClient[Record]":
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


def _address(uri: str) -> str:
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


class Warehouse:
    """Documents and their history. Every method raises `TryAgainError` if the server is away.

    Safe to share between threads. See `open_warehouse`.
    """

    def __init__(self, database: "Database[Record]", address: str) -> None:
        self._database = database
        self._address = address

    def _errors(self) -> AbstractContextManager[None]:
        return _plain_errors(self._address)

    def collection(self, name: str) -> "Collection[Record]":
        """A collection, for modules beside this one; to be used under `plain_errors`."""
        return self._database[name]

    def plain_errors(self) -> AbstractContextManager[None]:
        """Turn the driver's errors into the house's, in one line."""
        return _plain_errors(self._address)

    def _of(self, collection: str) -> "Collection[Record]":
        return self._database[collection]

    def prepare(self) -> None:
        """Create the indexes, if they are not there. Writers call it; readers need not."""
        with self._errors():
            self._of("documents").create_index([("author_id", 1), ("status", 1)])
            self._of("documents").create_index([("author_id", 1), ("source", 1)])
            self._of("documents").create_index("url")
            self._of("documents").create_index([("held.author", 1), ("held.source", 1)])
            self._of("forgotten").create_index("author_id")
            self._of("signatures").create_index("author_id")
            self._of("revisions").create_index([("document_id", 1), ("seen", 1)])
            self._of("quarantine").create_index([("author_id", 1), ("source", 1)])
            self._of("crawls").create_index([("recipe", 1), ("source", 1), ("finished", -1)])
            self._of("pages").create_index([("author_id", 1), ("source", 1)])
            self._of("pages").create_index("document_id")
            self._of("changes").create_index("crawl_id")
            self._of("changes").create_index([("author_id", 1), ("source", 1)])

    # Documents

    def upsert(self, document: Document, fetched: str | None = None) -> Change:
        """Store a document as it stands now, see `upsert_all`."""
        return self.upsert_all([Upsert(document, fetched)])[0]

    def upsert_all(
        self,
        upserts: Sequence[Upsert],
        note: Callable[[Sequence[Noted]], None] = lambda _noted: None,
        holder: Holder | None = None,
    ) -> list[Change]:
        """Store documents as they stand now; atomic per document.

        The ``first_seen`` of each is kept from the first time, its ``last_changed`` from the last
        time its text changed. A document that was gone is live again.

        Args:
            upserts: in any order; of several for one document the later ones come later.
            note: told what is about to change; called before the documents are written, so that
                a kill in between leaves a note too many and never one too few.
            holder: whose crawl has to end well before what is new is live (see
                `twin.stores.holding`); None: it is at once.

        Returns:
            What changed, for each.
        """
        changes: dict[int, Change] = {}
        waiting = dict(enumerate(upserts))
        with self._errors():
            for _ in range(ATTEMPTS):
                while waiting:
                    now = _first_of_each(waiting)
                    done = self._try_upserts(now, note, holder)
                    changes |= done
                    waiting = {key: one for key, one in waiting.items() if key not in done}
                    if len(done) < len(now):
                        break
                else:
                    return [changes[key] for key in range(len(upserts))]
                # By chance, so that two crawls do not meet again and again.
                time.sleep(random.uniform(0, LONGEST_PAUSE_SECONDS))  # noqa: S311 - no secret
        blocked = next(iter(waiting.values())).document.id
        raise TryAgainError(f"document {blocked} keeps being changed by another crawl")

    def _try_upserts(
        self,
        upserts: Mapping[int, Upsert],
        note: Callable[[Sequence[Noted]], None],
        holder: Holder | None,
    ) -> dict[int, Change]:
        """One attempt, of one upsert a document; returns those that no other crawl was in the
        way of."""
        ids = [one.document.id for one in upserts.values()]
        found = self._of("documents").find({"_id": {"$in": ids}}, {"content": 0})
        before = {stored["_id"]: stored for stored in found}
        known = before if holder is None else {id_: newest(one) for id_, one in before.items()}
        changes = {
            key: _change(known.get(one.document.id), one.document) for key, one in upserts.items()
        }
        self._keep_revisions(
            [upserts[key].document for key, change in changes.items()
             if change in {Change.ADDED, Change.CHANGED}]
        )  # fmt: skip
        noted = [
            Noted(one.document, changes[key], known.get(one.document.id, {}).get("revision"))
            for key, one in upserts.items()
            if changes[key] is not Change.UNCHANGED
        ]
        if noted:
            note(noted)
        added = [key for key, change in changes.items() if change is Change.ADDED]
        refused = self.add_new("documents", [_new_record(upserts[key], holder) for key in added])
        missed = {added[position] for position in refused}
        news = {
            one.document.id: _news(before[one.document.id], one, changes[key], holder)
            for key, one in upserts.items()
            if one.document.id in before
        }
        late = self._update(before, {identity: new for identity, new in news.items() if new})
        missed |= {key for key, one in upserts.items() if one.document.id in late}
        return {key: change for key, change in changes.items() if key not in missed}

    def _update(self, before: Mapping[str, Record], news: Mapping[str, Record]) -> set[str]:
        """Bring documents up to date, each unless it was changed since it was read.

        By one command, because the server remembers each for when it is sent again, and the
        embedded one goes through all that it remembers with every further one.

        Returns:
            Ids of those that were changed since.
        """
        from pymongo import UpdateOne

        if not news:
            return set()
        writes = [
            UpdateOne(
                {"_id": identity, **{key: before[identity][key] for key in _GUARDS}}, {"$set": new}
            )
            for identity, new in news.items()
        ]
        if self._of("documents").bulk_write(writes, ordered=False).matched_count == len(writes):
            return set()
        # Which of them, the answer does not say; what is as it is to be needs no second attempt.
        found = self._of("documents").find({"_id": {"$in": list(news)}}, {"content": 0})
        now = {stored["_id"]: stored for stored in found}
        return {identity for identity, new in news.items() if not _holds(now.get(identity), new)}

    def _keep_revisions(self, documents: Sequence[Document]) -> None:
        records = []
        for document in documents:
            revision = Revision(
                document_id=document.id,
                revision=document.revision,
                title=document.title,
                content=document.content,
                seen=document.last_changed,
            )
            key = revision_key(document.id, document.revision)
            records.append({"_id": key, **revision.model_dump()})
        self.add_new("revisions", records)

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
            self._of(collection).insert_many(records, ordered=False)
        except BulkWriteError as error:
            failed = error.details.get("writeErrors", [])
            if any(one.get("code") != DUPLICATE_KEY for one in failed):
                raise
            if error.details.get("writeConcernErrors"):
                raise
            return sorted(one["index"] for one in failed)
        return []

    def document(self, document_id: str) -> Document | None:
        """The document of this id, live or gone."""
        with self._errors():
            stored = self._of("documents").find_one({"_id": document_id})
        return _document(stored) if stored else None

    def standing_of(self, document_ids: Iterable[str]) -> list[Document]:
        """Those of these documents that stand (`STANDING`), without their text."""
        items = []
        with self._errors():
            for some in slices(document_ids):
                query = {"_id": {"$in": some}, "status": {"$in": STANDING_VALUES}}
                found = self._of("documents").find(query, {"content": 0})
                items += [_document({**stored, "content": ""}) for stored in found]
        return items

    def documents_at(self, *urls: str) -> list[Document]:
        """Documents of these canonical URLs: one an author and URL."""
        with self._errors():
            found = self._of("documents").find({"url": {"$in": sorted(urls)}}).sort("_id", 1)
            return [_document(stored) for stored in found]

    def live_documents(
        self, author_id: str, document_ids: Iterable[str] | None = None
    ) -> Iterator[Document]:
        """Live documents of an author with their text, ordered by id; of these ids, if given."""
        queries = [_live(author_id)]
        if document_ids is not None:
            queries = [{**_live(author_id), "_id": {"$in": some}} for some in slices(document_ids)]
        with self._errors():
            for query in queries:
                for stored in self._of("documents").find(query).sort("_id", 1):
                    yield _document(stored)

    def live_revisions(self, author_id: str) -> dict[str, str]:
        """Document id to revision of an author's live documents; reads no text."""
        with self._errors():
            found = self._of("documents").find(
                _live(author_id), {"revision": 1}, batch_size=RECORDS_PER_ANSWER
            )
            return {stored["_id"]: stored["revision"] for stored in found}

    def live_count(self, author_id: str) -> int:
        """How many live documents an author has."""
        with self._errors():
            return self._of("documents").count_documents(_live(author_id))

    def summaries(
        self, author_id: str | None = None, status: DocumentStatus | None = None
    ) -> Iterator[Document]:
        """Documents without their text (``content`` is empty), by author, newest first."""
        query: Record = {} if author_id is None else {"author_id": author_id}
        if status is not None:
            query["status"] = status.value
        with self._errors():
            found = self._of("documents").find(query, {"content": 0})
            for stored in found.sort([("author_id", 1), ("published", -1), ("url", 1)]):
                yield _document({**stored, "content": ""})

    def revisions(self, document_id: str) -> list[Revision]:
        """Every text that a document has had, by when it was first seen."""
        with self._errors():
            found = self._of("revisions").find({"document_id": document_id}).sort("seen", 1)
            return [Revision.model_validate(stored) for stored in found]

    # Signatures

    def signatures(self, author_id: str, made_by: str) -> Iterator[Record]:
        """What was kept by `keep_signatures`, made by this version of the code and its settings."""
        query = {"author_id": author_id, "made_by": made_by}
        with self._errors():
            yield from self._of("signatures").find(query)

    def keep_signatures(self, author_id: str, made_by: str, records: Iterable[Record]) -> None:
        """Keep one record a document, by ``_id``, in place of the one before."""
        from pymongo import ReplaceOne

        operations = [
            ReplaceOne(
                {"_id": item["_id"]},
                {**item, "author_id": author_id, "made_by": made_by},
                upsert=True,
            )
            for item in records
        ]
        if operations:
            with self._errors():
                self._of("signatures").bulk_write(operations, ordered=False)

    # Cross-posts, see `twin.crawl.cross_posts`

    def standing_places(self, author_id: str) -> Iterator[tuple[str, str, bool]]:
        """Source and URL of documents that are live or duplicates of live ones, and whether they
        are marked as cross-posts."""
        query = {"author_id": author_id, "status": {"$in": PUBLISHED_VALUES}}
        wanted = {"_id": 0, "source": 1, "url": 1, "also_at": 1}
        with self._errors():
            found = self._of("documents").find(query, wanted, batch_size=RECORDS_PER_ANSWER)
            for stored in found:
                yield stored["source"], stored["url"], bool(stored.get("also_at"))

    def standing(self, author_id: str) -> list[Document]:
        """Documents that are live or duplicates of live ones, without their text, by id."""
        query = {"author_id": author_id, "status": {"$in": PUBLISHED_VALUES}}
        with self._errors():
            found = self._of("documents").find(query, {"content": 0}).sort("_id", 1)
            return [_document({**stored, "content": ""}) for stored in found]

    def texts(self, document_ids: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Ids and texts of documents, ordered by id."""
        with self._errors():
            for some in slices(document_ids):
                found = self._of("documents").find({"_id": {"$in": some}}, {"content": 1})
                for stored in found.sort("_id", 1):
                    yield stored["_id"], stored["content"]

    def mark_cross_posts(
        self, marks: Sequence[tuple[Document, DocumentStatus, tuple[str, ...]]]
    ) -> int:
        """Note of documents whether each is the one of its text, and the text's other URLs.

        Args:
            marks: documents as they were read, each with its state and URLs; with one that has
                changed since, nothing is done.

        Returns:
            How many had not changed, and are as wanted now.
        """
        from pymongo import UpdateOne

        matched = 0
        with self._errors():
            for some in batched(marks):
                writes = [
                    UpdateOne(
                        _as_read(seen),
                        {"$set": {"status": status.value, "also_at": list(also_at)}},
                    )
                    for seen, status, also_at in some
                ]
                done = self._of("documents").bulk_write(writes, ordered=False)
                matched += done.matched_count
        return matched

    # Bookkeeping of crawls

    def fetched_digests(self, author_id: str, source: str) -> dict[str, str]:
        """Document id to digest of the bytes it was made from: equal bytes, equal text."""
        query = {
            "author_id": author_id,
            "status": {"$in": STANDING_VALUES},
            "source": source,
            "fetched": {"$ne": None},
        }
        with self._errors():
            found = self._of("documents").find(query, {"fetched": 1}, batch_size=RECORDS_PER_ANSWER)
            return {stored["_id"]: stored["fetched"] for stored in found}

    def fetched_of(self, document_ids: Iterable[str]) -> dict[str, str]:
        """The same of these documents, whosever they are."""
        digests = {}
        with self._errors():
            for some in slices(document_ids):
                query = {"_id": {"$in": some}, "status": {"$in": STANDING_VALUES}}
                for stored in self._of("documents").find(query, {"fetched": 1}):
                    if stored.get("fetched") is not None:
                        digests[stored["_id"]] = stored["fetched"]
        return digests

    def urls_of(self, author_id: str, source: str) -> list[str]:
        """URLs of a source's documents, live or not, those stored first at the end."""
        query = {"author_id": author_id, "source": source}
        with self._errors():
            found = self._of("documents").find(query, {"url": 1}, batch_size=RECORDS_PER_ANSWER)
            return [stored["url"] for stored in found.sort("first_seen", -1)]

    def mark_seen(self, document_ids: Iterable[str], when: datetime) -> None:
        """Note that these documents stood where they were published at ``when``; of those that
        were added since, `upsert_all` has noted it."""
        with self._errors():
            for some in slices(document_ids):
                self._of("documents").update_many(
                    {"_id": {"$in": some}},
                    {"$set": {"last_seen": when}, "$unset": {"missed_in": ""}},
                )

    def source_fingerprint(self, author_id: str, source: str) -> str:
        """SHA-256 of ids, revisions and states of a source's documents."""
        digest = hashlib.sha256()
        query = {"author_id": author_id, "source": source}
        with self._errors():
            found = self._of("documents").find(
                query, {"revision": 1, "status": 1}, batch_size=RECORDS_PER_ANSWER
            )
            for stored in found.sort("_id", 1):
                line = f"{stored['_id']} {stored['revision']} {stored['status']}\n"
                digest.update(line.encode())
        return digest.hexdigest()

    def crawl(self, crawl_id: str) -> CrawlRecord | None:
        """The record of one crawl and source."""
        with self._errors():
            stored = self._of("crawls").find_one({"_id": crawl_id})
        return CrawlRecord.model_validate({**stored, "id": stored["_id"]}) if stored else None

    def save_crawl(self, record: CrawlRecord) -> None:
        """Store a crawl's record, replacing what was said of it before."""
        with self._errors():
            self._of("crawls").replace_one({"_id": record.id}, storable(record), upsert=True)

    def last_crawl(self, recipe: str, source: str) -> CrawlRecord | None:
        """The newest crawl of this source that ended well."""
        query = {"recipe": recipe, "source": source, "status": CrawlStatus.DONE.value}
        with self._errors():
            stored = self._of("crawls").find_one(query, sort=[("finished", -1)])
        return CrawlRecord.model_validate({**stored, "id": stored["_id"]}) if stored else None

    def quarantine(self, *, author_id: str, source: str, url: str, reason: str) -> None:
        """Set an item aside with the reason; again is an update of the same item."""
        now = datetime.now(UTC)
        item = QuarantinedItem(
            id=quarantine_id(author_id, source, url), author_id=author_id, source=source, url=url,
            reason=reason, first_seen=now, last_seen=now,
        )  # fmt: skip
        self.quarantine_all([item])

    def quarantine_all(
        self, items: Sequence[QuarantinedItem], known: Set[str] = frozenset()
    ) -> None:
        """Set items aside; of those that are there, ``first_seen`` stays.

        Args:
            known: ids of items that are there, as far as is known.
        """
        from pymongo import UpdateOne

        with self._errors():
            new = [item for item in items if item.id not in known]
            rest = [item for item in items if item.id in known]
            refused = self.add_new(
                "quarantine", [{"_id": item.id, **storable(item)} for item in new]
            )
            rest += [new[position] for position in refused]
            writes = [
                UpdateOne(
                    {"_id": item.id},
                    {
                        "$set": {"reason": item.reason, "last_seen": item.last_seen},
                        "$setOnInsert": {
                            "author_id": item.author_id, "source": item.source, "url": item.url,
                            "first_seen": item.first_seen,
                        },
                    },
                    upsert=True,
                )
                for item in rest
            ]  # fmt: skip
            if writes:
                self._of("quarantine").bulk_write(writes, ordered=False)

    def quarantined(self, author_id: str, source: str | None = None) -> list[QuarantinedItem]:
        """What was set aside, ordered by URL."""
        query = {"author_id": author_id} | ({} if source is None else {"source": source})
        with self._errors():
            found = self._of("quarantine").find(query).sort("url", 1)
            return [QuarantinedItem.model_validate({**item, "id": item["_id"]}) for item in found]

    def release(self, item_ids: Iterable[str]) -> None:
        """Take items out of quarantine: they became documents after all."""
        with self._errors():
            for some in slices(item_ids):
                self._of("quarantine").delete_many({"_id": {"$in": some}})

    # Forgetting

    def forget(self, forgotten: Forgotten) -> int:
        """Erase a document with its history, and note that it is never to be stored again.

        The note comes first: what a kill leaves of the document, the next call erases.

        Returns:
            Number of texts erased.
        """
        with self._errors():
            self._of("forgotten").update_one(
                {"_id": forgotten.id},
                {"$setOnInsert": forgotten.model_dump(exclude={"id"})},
                upsert=True,
            )
            return self._erase([forgotten.id])

    def _erase(self, document_ids: list[str]) -> int:
        texts = self._of("revisions").delete_many({"document_id": {"$in": document_ids}})
        self._of("documents").delete_many({"_id": {"$in": document_ids}})
        self._of("signatures").delete_many({"_id": {"$in": document_ids}})
        return texts.deleted_count

    def forgotten(self, author_id: str) -> dict[str, Forgotten]:
        """What was erased of an author on demand, by document id."""
        with self._errors():
            found = self._of("forgotten").find({"author_id": author_id})
            items = (Forgotten.model_validate({**item, "id": item["_id"]}) for item in found)
            return {item.id: item for item in items}

    def erase_forgotten(self) -> int:
        """Erase again what an import has brought back; returns the number of texts."""
        with self._errors():
            return self._erase([item["_id"] for item in self._of("forgotten").find({}, {"_id": 1})])

    # Whole collections, for export and import

    def records(self, collection: str, author_id: str | None = None) -> Iterator[Record]:
        """Raw records of a collection, ordered by id, of one author or of all."""
        with self._errors():
            query: Record = {}
            if author_id is not None and collection == "revisions":
                ids = self._of("documents").distinct("_id", {"author_id": author_id})
                query = {"document_id": {"$in": ids}}
            elif author_id is not None:
                query = {"author_id": author_id}
            yield from self._of(collection).find(query).sort("_id", 1)

    def drop(self) -> None:
        """Delete the whole database. For scratch ones."""
        with self._errors():
            self._database.client.drop_database(self._database.name)

    def restore(self, collection: str, records: Iterable[Record]) -> int:
        """Write raw records, replacing those of the same id; returns how many were new."""
        from pymongo import ReplaceOne

        operations = [ReplaceOne({"_id": item["_id"]}, item, upsert=True) for item in records]
        if not operations:
            return 0
        with self._errors():
            done = self._of(collection).bulk_write(operations, ordered=False)
        return done.upserted_count


def revision_key(document_id: str, revision: str) -> str:
    """Key of a text in ``revisions``."""
    return f"{document_id}:{revision}"


def slices(ids: Iterable[str]) -> Iterator[list[str]]:
    """Ids in portions that fit into one command."""
    for some in batched(sorted(ids)):
        yield list(some)


def batched(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Items in portions that fit into one command."""
    for start in range(0, len(items), IDS_PER_COMMAND):
        yield items[start : start + IDS_PER_COMMAND]


def _as_read(seen: Document) -> Record:
    """What finds a document only if it is marked as it was when it was read."""
    guard: Record = {"_id": seen.id, "revision": seen.revision, "status": seen.status.value}
    if seen.also_at:
        guard["also_at"] = list(seen.also_at)
    else:
        guard["also_at.0"] = {"$exists": False}
    return guard


def _first_of_each(upserts: Mapping[int, Upsert]) -> dict[int, Upsert]:
    """One upsert a document."""
    seen: set[str] = set()
    first = {}
    for key, one in upserts.items():
        if one.document.id not in seen:
            seen.add(one.document.id)
            first[key] = one
    return first


def _new_record(one: Upsert, holder: Holder | None) -> Record:
    wanted = _merged(None, one.document, Change.ADDED)
    record = {"_id": one.document.id, **(held_back(None, wanted, holder) if holder else wanted)}
    record["last_seen"] = one.document.last_changed
    if one.fetched is not None:
        record["fetched"] = one.fetched
    return record


def _news(stored: Mapping[str, Any], one: Upsert, change: Change, holder: Holder | None) -> Record:
    """What of a stored document is to become otherwise."""
    if holder is None:
        wanted = {**_merged(stored, one.document, change), **NOTHING_HELD}
    else:
        wanted = held_back(stored, _merged(newest(stored), one.document, change), holder)
    if one.fetched is not None:
        wanted["fetched"] = one.fetched
    news = {key: value for key, value in wanted.items() if stored.get(key) != value}
    if change is Change.UNCHANGED:
        news.pop("content", None)  # was not read, and is the same
    return news


def _holds(stored: Mapping[str, Any] | None, news: Mapping[str, Any]) -> bool:
    """Whether a document, read without its content, has these values: its revision stands for
    the content."""
    return stored is not None and all(
        stored.get(key) == value for key, value in news.items() if key != "content"
    )


def _live(author_id: str) -> Record:
    return {"author_id": author_id, "status": DocumentStatus.LIVE.value}


def _document(stored: Mapping[str, Any]) -> Document:
    return Document.model_validate({**stored, "id": stored["_id"]})


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


def _change(stored: Mapping[str, Any] | None, document: Document) -> Change:
    if stored is None:
        return Change.ADDED
    if stored["revision"] != document.revision:
        return Change.CHANGED
    if stored["status"] not in STANDING_VALUES:
        return Change.RESTORED
    return Change.UNCHANGED


def _merged(stored: Mapping[str, Any] | None, document: Document, change: Change) -> Record:
    """What to store: the document, with the times that its history dictates."""
    wanted = storable(document)
    if stored is not None:
        wanted["first_seen"] = stored["first_seen"]
        if change is not Change.CHANGED:
            wanted["last_changed"] = stored["last_changed"]
        # Whose cross-post it is was found by comparing documents, not by reading this one.
        wanted["also_at"] = stored.get("also_at", [])
        if stored["status"] == DocumentStatus.DUPLICATE.value:
            wanted["status"] = stored["status"]
    return wanted
