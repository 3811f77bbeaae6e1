"""The warehouse: every document of every author, with its history, in MongoDB.

Collections, each keyed by ``_id``: ``documents`` (the text as it stands), ``revisions`` (every
text a document has had, the current one too), ``quarantine`` (what could not be used),
``crawls`` (one record a crawl and source), and those of `twin.stores.crawl_pages`. ``signatures``
holds what `twin features build` compares documents by, and can be made again.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from datetime import UTC, datetime

from twin.domain.crawl import CrawlRecord, CrawlStatus, QuarantinedItem, quarantine_id
from twin.domain.document import PUBLISHED_VALUES, Document, DocumentStatus, Forgotten
from twin.settings import Settings
from twin.stores.warehouse_connection import (
    RECORDS_PER_ANSWER,
    Record,
    address_of,
    batched,
    client_of,
    slices,
    storable,
)
from twin.stores.warehouse_documents import STANDING_VALUES, Documents, document_of

#: Fields of a stored document that are bookkeeping of the crawl, not part of `Document`.
BOOKKEEPING = ("last_seen", "fetched", "missed_in", "coming", "held")
COLLECTIONS = ("revisions", "documents", "quarantine", "crawls", "forgotten", "pages", "changes")


@contextmanager
def open_warehouse(settings: Settings) -> Iterator["Warehouse"]:
    """Connect to the warehouse for the length of a ``with`` block.

    Raises:
        TryAgainError: nothing answers at the address; the message never shows the password.
        BadConfigurationError: the URI is malformed or the credentials are refused.
    """
    client = client_of(settings)
    address = address_of(settings.mongo_uri.get_secret_value())
    try:
        warehouse = Warehouse(client[settings.mongo_database], address)
        with warehouse.plain_errors():
            client.admin.command("ping")
        yield warehouse
    finally:
        client.close()


def lasting_warehouse(settings: Settings) -> "Warehouse":
    """A warehouse for the life of a process that must not wait for it: see `open_warehouse`.

    It is connected at its first use; a server that is away is given up after seconds.

    Raises:
        BadConfigurationError: the URI is malformed.
    """
    client = client_of(settings, serverSelectionTimeoutMS=2_000, timeoutMS=3_000)
    address = address_of(settings.mongo_uri.get_secret_value())
    return Warehouse(client[settings.mongo_database], address)


class Warehouse(Documents):
    """Documents and their history. Every method raises `TryAgainError` if the server is away.

    Safe to share between threads. See `open_warehouse`.
    """

    # Signatures

    def signatures(self, author_id: str, made_by: str) -> Iterator[Record]:
        """What was kept by `keep_signatures`, made by this version of the code and its settings."""
        query = {"author_id": author_id, "made_by": made_by}
        with self.plain_errors():
            yield from self.collection("signatures").find(query)

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
            with self.plain_errors():
                self.collection("signatures").bulk_write(operations, ordered=False)

    # Cross-posts, see `twin.crawl.cross_posts`

    def standing_places(self, author_id: str) -> Iterator[tuple[str, str, bool]]:
        """Source and URL of documents that are live or duplicates of live ones, and whether they
        are marked as cross-posts."""
        query = {"author_id": author_id, "status": {"$in": PUBLISHED_VALUES}}
        wanted = {"_id": 0, "source": 1, "url": 1, "also_at": 1}
        with self.plain_errors():
            found = self.collection("documents").find(query, wanted, batch_size=RECORDS_PER_ANSWER)
            for stored in found:
                yield stored["source"], stored["url"], bool(stored.get("also_at"))

    def standing(self, author_id: str) -> list[Document]:
        """Documents that are live or duplicates of live ones, without their text, by id."""
        query = {"author_id": author_id, "status": {"$in": PUBLISHED_VALUES}}
        with self.plain_errors():
            found = self.collection("documents").find(query, {"content": 0}).sort("_id", 1)
            return [document_of({**stored, "content": ""}) for stored in found]

    def texts(self, document_ids: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Ids and texts of documents, ordered by id."""
        with self.plain_errors():
            for some in slices(document_ids):
                found = self.collection("documents").find({"_id": {"$in": some}}, {"content": 1})
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
        with self.plain_errors():
            for some in batched(marks):
                writes = [
                    UpdateOne(
                        _as_read(seen),
                        {"$set": {"status": status.value, "also_at": list(also_at)}},
                    )
                    for seen, status, also_at in some
                ]
                done = self.collection("documents").bulk_write(writes, ordered=False)
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
        with self.plain_errors():
            found = self.collection("documents").find(
                query, {"fetched": 1}, batch_size=RECORDS_PER_ANSWER
            )
            return {stored["_id"]: stored["fetched"] for stored in found}

    def fetched_of(self, document_ids: Iterable[str]) -> dict[str, str]:
        """The same of these documents, whosever they are."""
        digests = {}
        with self.plain_errors():
            for some in slices(document_ids):
                query = {"_id": {"$in": some}, "status": {"$in": STANDING_VALUES}}
                for stored in self.collection("documents").find(query, {"fetched": 1}):
                    if stored.get("fetched") is not None:
                        digests[stored["_id"]] = stored["fetched"]
        return digests

    def urls_of(self, author_id: str, source: str) -> list[str]:
        """URLs of a source's documents, live or not, those stored first at the end."""
        query = {"author_id": author_id, "source": source}
        with self.plain_errors():
            found = self.collection("documents").find(
                query, {"url": 1}, batch_size=RECORDS_PER_ANSWER
            )
            return [stored["url"] for stored in found.sort("first_seen", -1)]

    def mark_seen(self, document_ids: Iterable[str], when: datetime) -> None:
        """Note that these documents stood where they were published at ``when``; of those that
        were added since, `upsert_all` has noted it."""
        with self.plain_errors():
            for some in slices(document_ids):
                self.collection("documents").update_many(
                    {"_id": {"$in": some}},
                    {"$set": {"last_seen": when}, "$unset": {"missed_in": ""}},
                )

    def source_fingerprint(self, author_id: str, source: str) -> str:
        """SHA-256 of ids, revisions and states of a source's documents."""
        digest = hashlib.sha256()
        query = {"author_id": author_id, "source": source}
        with self.plain_errors():
            found = self.collection("documents").find(
                query, {"revision": 1, "status": 1}, batch_size=RECORDS_PER_ANSWER
            )
            for stored in found.sort("_id", 1):
                line = f"{stored['_id']} {stored['revision']} {stored['status']}\n"
                digest.update(line.encode())
        return digest.hexdigest()

    def crawl(self, crawl_id: str) -> CrawlRecord | None:
        """The record of one crawl and source."""
        with self.plain_errors():
            stored = self.collection("crawls").find_one({"_id": crawl_id})
        return CrawlRecord.model_validate({**stored, "id": stored["_id"]}) if stored else None

    def save_crawl(self, record: CrawlRecord) -> None:
        """Store a crawl's record, replacing what was said of it before."""
        with self.plain_errors():
            self.collection("crawls").replace_one({"_id": record.id}, storable(record), upsert=True)

    def last_crawl(self, recipe: str, source: str) -> CrawlRecord | None:
        """The newest crawl of this source that ended well."""
        query = {"recipe": recipe, "source": source, "status": CrawlStatus.DONE.value}
        with self.plain_errors():
            stored = self.collection("crawls").find_one(query, sort=[("finished", -1)])
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

        with self.plain_errors():
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
                self.collection("quarantine").bulk_write(writes, ordered=False)

    def quarantined(self, author_id: str, source: str | None = None) -> list[QuarantinedItem]:
        """What was set aside, ordered by URL."""
        query = {"author_id": author_id} | ({} if source is None else {"source": source})
        with self.plain_errors():
            found = self.collection("quarantine").find(query).sort("url", 1)
            return [QuarantinedItem.model_validate({**item, "id": item["_id"]}) for item in found]

    def release(self, item_ids: Iterable[str]) -> None:
        """Take items out of quarantine: they became documents after all."""
        with self.plain_errors():
            for some in slices(item_ids):
                self.collection("quarantine").delete_many({"_id": {"$in": some}})

    # Forgetting

    def forget(self, forgotten: Forgotten) -> int:
        """Erase a document with its history, and note that it is never to be stored again.

        The note comes first: what a kill leaves of the document, the next call erases.

        Returns:
            Number of texts erased.
        """
        with self.plain_errors():
            self.collection("forgotten").update_one(
                {"_id": forgotten.id},
                {"$setOnInsert": forgotten.model_dump(exclude={"id"})},
                upsert=True,
            )
            return self._erase([forgotten.id])

    def _erase(self, document_ids: list[str]) -> int:
        texts = self.collection("revisions").delete_many({"document_id": {"$in": document_ids}})
        self.collection("documents").delete_many({"_id": {"$in": document_ids}})
        self.collection("signatures").delete_many({"_id": {"$in": document_ids}})
        return texts.deleted_count

    def forgotten(self, author_id: str) -> dict[str, Forgotten]:
        """What was erased of an author on demand, by document id."""
        with self.plain_errors():
            found = self.collection("forgotten").find({"author_id": author_id})
            items = (Forgotten.model_validate({**item, "id": item["_id"]}) for item in found)
            return {item.id: item for item in items}

    def erase_forgotten(self) -> int:
        """Erase again what an import has brought back; returns the number of texts."""
        with self.plain_errors():
            return self._erase(
                [item["_id"] for item in self.collection("forgotten").find({}, {"_id": 1})]
            )

    # Whole collections, for export and import

    def records(self, collection: str, author_id: str | None = None) -> Iterator[Record]:
        """Raw records of a collection, ordered by id, of one author or of all."""
        with self.plain_errors():
            query: Record = {}
            if author_id is not None and collection == "revisions":
                ids = self.collection("documents").distinct("_id", {"author_id": author_id})
                query = {"document_id": {"$in": ids}}
            elif author_id is not None:
                query = {"author_id": author_id}
            yield from self.collection(collection).find(query).sort("_id", 1)

    def drop(self) -> None:
        """Delete the whole database. For scratch ones."""
        with self.plain_errors():
            self._database.client.drop_database(self._database.name)

    def restore(self, collection: str, records: Iterable[Record]) -> int:
        """Write raw records, replacing those of the same id; returns how many were new."""
        from pymongo import ReplaceOne

        operations = [ReplaceOne({"_id": item["_id"]}, item, upsert=True) for item in records]
        if not operations:
            return 0
        with self.plain_errors():
            done = self.collection(collection).bulk_write(operations, ordered=False)
        return done.upserted_count


def _as_read(seen: Document) -> Record:
    """What finds a document only if it is marked as it was when it was read."""
    guard: Record = {"_id": seen.id, "revision": seen.revision, "status": seen.status.value}
    if seen.also_at:
        guard["also_at"] = list(seen.also_at)
    else:
        guard["also_at.0"] = {"$exists": False}
    return guard
