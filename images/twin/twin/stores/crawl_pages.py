"""What crawls remember beside documents: the pages that they fetched, and what they changed.

Collections of the warehouse: ``pages`` (one record a fetched URL and source: validators, digest,
outcome, links) and ``changes`` (one record a crawl and document that it added, changed, restored
or found gone). Both are memory, not truth: a lost page record costs one full answer.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from twin.domain.crawl import (
    Change,
    CrawlRecord,
    CrawlStatus,
    DocumentChange,
    FetchedPage,
)
from twin.domain.document import DocumentStatus
from twin.stores.holding import NOTHING_HELD
from twin.stores.warehouse import Warehouse
from twin.stores.warehouse_connection import RECORDS_PER_ANSWER, slices, storable
from twin.stores.warehouse_documents import STANDING_VALUES

#: Crawls of a source whose changes are kept, for `twin crawl diff`.
CRAWLS_KEPT = 50
_STATE = {"url": 1, "status": 1}
# They may be large: what is left tells unknown (None) from known (empty).
_WITHOUT_LINKS = {"links": {"$slice": 0}}


class CrawlPages:
    """Pages and changes. Every method raises `TryAgainError` if the warehouse is away."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    # Pages

    def pages(self, author_id: str, source: str) -> Iterator[FetchedPage]:
        """What is known of a source's URLs; links, if known, are empty here, see `links`."""
        query = {"author_id": author_id, "source": source}
        with self._warehouse.plain_errors():
            pages = self._warehouse.collection("pages")
            for stored in pages.find(query, _WITHOUT_LINKS, batch_size=RECORDS_PER_ANSWER):
                yield _page(stored)

    def links(self, page: str) -> tuple[str, ...] | None:
        """Where a page leads, by its id; None if that is not known."""
        with self._warehouse.plain_errors():
            stored = self._warehouse.collection("pages").find_one({"_id": page}, {"links": 1})
        links = stored and stored.get("links")
        return None if links is None else tuple(links)

    def save(self, pages: Sequence[FetchedPage], known: Collection[str] = frozenset()) -> None:
        """Store pages, replacing what was known; links of None leave those known as they are.

        Args:
            known: ids of pages that the store has, as far as is known.
        """
        from pymongo import UpdateOne

        news = [(page.id, _without_unknown_links(page)) for page in pages]
        new = [item for item in news if item[0] not in known]
        rest = [item for item in news if item[0] in known]
        with self._warehouse.plain_errors():
            added = [{"_id": page, **data} for page, data in new]
            rest += [new[position] for position in self._warehouse.add_new("pages", added)]
            writes = [UpdateOne({"_id": page}, {"$set": data}, upsert=True) for page, data in rest]
            if writes:
                self._warehouse.collection("pages").bulk_write(writes, ordered=False)

    def still(self, pages: Iterable[str], status: int | None, when: datetime) -> None:
        """Note of pages that they were as they are known to be when they were last asked for.

        Args:
            pages: their ids.
            status: of the answer.
        """
        update = {"$set": {"fetched": when, "status": status}}
        with self._warehouse.plain_errors():
            for some in slices(pages):
                self._warehouse.collection("pages").update_many({"_id": {"$in": some}}, update)

    def pages_of(self, document_ids: Iterable[str]) -> list[FetchedPage]:
        """Pages that became these documents: several, if one is found at several addresses."""
        found = []
        with self._warehouse.plain_errors():
            for some in slices(document_ids):
                query = {"document_id": {"$in": some}}
                found += list(self._warehouse.collection("pages").find(query, _WITHOUT_LINKS))
        return sorted(map(_page, found), key=lambda page: page.url)

    def pages_at(self, author_id: str, urls: Collection[str]) -> list[FetchedPage]:
        """Pages of an author's sources at these URLs, and those that call one of them theirs."""
        wanted = {"$in": sorted(urls)}
        either = [{"url": wanted}, {"outcome": "elsewhere", "reason": wanted}]
        with self._warehouse.plain_errors():
            query = {"author_id": author_id, "$or": either}
            found = list(self._warehouse.collection("pages").find(query, _WITHOUT_LINKS))
        return sorted(map(_page, found), key=lambda page: page.url)

    def forget(self, document_ids: Collection[str], urls: Collection[str]) -> set[str]:
        """Delete what is remembered of documents and URLs; returns every URL they were found at."""
        found = {page.url for page in self.pages_of(document_ids)} | set(urls)
        query = {"$in": sorted(document_ids)}
        with self._warehouse.plain_errors():
            pages, changes = (self._warehouse.collection(one) for one in ("pages", "changes"))
            changes.delete_many({"document_id": query})
            pages.delete_many({"url": {"$in": sorted(found)}})
        return found

    # Changes

    def note(self, changes: Sequence[DocumentChange]) -> None:
        """Store changes; what stood before one is kept from its first note in the same crawl."""
        from pymongo import UpdateOne

        records = [{"_id": change.id, **storable(change)} for change in changes]
        with self._warehouse.plain_errors():
            known = [records[at] for at in self._warehouse.add_new("changes", records)]
            if known:
                writes = [UpdateOne({"_id": one["_id"]}, {"$set": _later(one)}) for one in known]
                self._warehouse.collection("changes").bulk_write(writes, ordered=False)

    def changes(self, crawl: str) -> list[DocumentChange]:
        """What a crawl of a source changed, by URL."""
        with self._warehouse.plain_errors():
            found = self._warehouse.collection("changes").find({"crawl_id": crawl})
            items = [DocumentChange.model_validate({**one, "id": one["_id"]}) for one in found]
        return sorted(items, key=lambda item: item.url)

    def trim_changes(self, author_id: str, source: str, keep: int = CRAWLS_KEPT) -> None:
        """Delete the changes of all but the newest crawls of a source that changed something."""
        query = {"author_id": author_id, "source": source}
        with self._warehouse.plain_errors():
            changes = self._warehouse.collection("changes")
            if len(changes.distinct("crawl_id", query)) <= keep:
                return
            newest: dict[str, Any] = {}
            wanted = {"crawl_id": 1, "at": 1}
            for one in changes.find(query, wanted, batch_size=RECORDS_PER_ANSWER):
                newest[one["crawl_id"]] = max(newest.get(one["crawl_id"], one["at"]), one["at"])
            old = sorted(newest, key=lambda crawl: newest[crawl], reverse=True)[keep:]
            if old:
                changes.delete_many({**query, "crawl_id": {"$in": old}})

    def crawls(self, recipe: str, source: str) -> Iterator[CrawlRecord]:
        """Records of the crawls of a source that came to an end, newest first."""
        query = {"recipe": recipe, "source": source, "status": {"$ne": CrawlStatus.RUNNING.value}}
        with self._warehouse.plain_errors():
            found = self._warehouse.collection("crawls").find(query).sort("finished", -1)
            for stored in found:
                yield CrawlRecord.model_validate({**stored, "id": stored["_id"]})

    # Tombstones

    def standing(
        self, author_id: str, source: str
    ) -> Iterator[tuple[str, tuple[str, DocumentStatus]]]:
        """Document id, and URL and status, of all that a source ever gave of its author."""
        query = {"author_id": author_id, "source": source}
        with self._warehouse.plain_errors():
            documents = self._warehouse.collection("documents")
            for one in documents.find(query, _STATE, batch_size=RECORDS_PER_ANSWER):
                yield one["_id"], (one["url"], DocumentStatus(one["status"]))

    def guests(
        self, source: str, document_ids: Iterable[str], author_id: str
    ) -> dict[str, tuple[str, DocumentStatus]]:
        """Document id to URL and status of those of a source that are not this author's, of these
        documents."""
        states = {}
        with self._warehouse.plain_errors():
            documents = self._warehouse.collection("documents")
            for some in slices(document_ids):
                query = {"_id": {"$in": some}, "source": source, "author_id": {"$ne": author_id}}
                for one in documents.find(query, _STATE):
                    states[one["_id"]] = (one["url"], DocumentStatus(one["status"]))
        return states

    def missed(self, document_ids: Iterable[str], crawl: str) -> dict[str, int]:
        """Note that a crawl missed these documents.

        Returns:
            Document id to the number of crawls that have missed it in a row, this one included.
        """
        counts = {}
        with self._warehouse.plain_errors():
            documents = self._warehouse.collection("documents")
            for some in slices(document_ids):
                query = {"_id": {"$in": some}}
                documents.update_many(query, {"$addToSet": {"missed_in": crawl}})
                for one in documents.find(query, {"missed_in": 1}):
                    counts[one["_id"]] = len(one["missed_in"])
        return counts

    def bury(self, document_ids: Iterable[str]) -> None:
        """Mark documents as gone; their texts and history stay."""
        gone = {"status": DocumentStatus.GONE.value, **NOTHING_HELD}
        update = {"$set": gone, "$unset": {"missed_in": ""}}
        with self._warehouse.plain_errors():
            documents = self._warehouse.collection("documents")
            for some in slices(document_ids):
                standing = {"_id": {"$in": some}, "status": {"$in": STANDING_VALUES}}
                documents.update_many(standing, update)


def _without_unknown_links(page: FetchedPage) -> dict[str, Any]:
    data = storable(page)
    if page.links is None:
        del data["links"]
    return data


def _later(change: Mapping[str, Any]) -> dict[str, Any]:
    """What a further note of the same crawl changes in the first one."""
    kept = {"_id", "before"}
    if change["kind"] not in {Change.GONE, Change.RESTORED}:
        kept.add("kind")
    return {key: value for key, value in change.items() if key not in kept}


def _page(stored: Mapping[str, Any]) -> FetchedPage:
    return FetchedPage.model_validate({**stored, "id": stored["_id"]})
