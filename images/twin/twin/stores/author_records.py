"""All that the warehouse has of one author, to be counted and erased."""

from collections import Counter
from collections.abc import Collection

from twin.stores.answer_records import ANSWERS, AnswerRecords
from twin.stores.warehouse import Warehouse
from twin.stores.warehouse_connection import slices

#: Collections whose records name their author, in the order in which they are erased. Documents
#: come last: they lead to their revisions, and to what other stores hold of them.
BY_AUTHOR = ("signatures", "quarantine", "changes", "crawls", "pages", "documents")


class AuthorRecords:
    """Every method raises `TryAgainError` if the warehouse is away.

    Notes of what was forgotten on demand (`twin crawl forget`) are left alone: they hold a URL and
    a reason, and see to it that it never comes back.
    """

    def __init__(self, warehouse: Warehouse, author_id: str) -> None:
        self._warehouse = warehouse
        self._author = author_id

    def document_ids(self) -> set[str]:
        """Ids of the author's documents, and of guests' that no other author's sources gave."""
        own = {"author_id": self._author}
        with self._warehouse.plain_errors():
            documents, pages = (self._warehouse.collection(one) for one in ("documents", "pages"))
            ids = {one["_id"] for one in documents.find(own, {"_id": 1})}
            found = pages.find({**own, "document_id": {"$ne": None}}, {"document_id": 1})
            guests = {one["document_id"] for one in found} - ids
            for some in slices(guests):
                query = {"document_id": {"$in": some}, "author_id": {"$ne": self._author}}
                guests -= {one["document_id"] for one in pages.find(query, {"document_id": 1})}
        return ids | guests

    def counts(self, document_ids: Collection[str]) -> dict[str, int]:
        """Collection to records, of those that have any.

        Args:
            document_ids: as `document_ids` gave them.
        """
        counts: Counter[str] = Counter()
        with self._warehouse.plain_errors():
            for name in BY_AUTHOR:
                collection = self._warehouse.collection(name)
                counts[name] = collection.count_documents({"author_id": self._author})
            guests = self._warehouse.collection("documents")
            revisions = self._warehouse.collection("revisions")
            for some in slices(document_ids):
                query = {"_id": {"$in": some}, "author_id": {"$ne": self._author}}
                counts["documents"] += guests.count_documents(query)
                counts["revisions"] += revisions.count_documents({"document_id": {"$in": some}})
            # One answer may have sources in several slices: these are counted by id.
            answers = self._warehouse.collection(ANSWERS)
            counts[ANSWERS] = len(
                {
                    one["_id"]
                    for some in slices(document_ids)
                    for one in answers.find({"documents": {"$in": some}}, {"_id": 1})
                }
            )
        return {name: count for name, count in counts.items() if count}

    def erase(self, document_ids: Collection[str]) -> None:
        """Erase the author's records and these documents; what a kill leaves, the next call finds.

        Args:
            document_ids: as `document_ids` gave them.
        """
        AnswerRecords(self._warehouse).forget(document_ids)
        with self._warehouse.plain_errors():
            revisions, signatures, documents = (
                self._warehouse.collection(one) for one in ("revisions", "signatures", "documents")
            )
            for some in slices(document_ids):
                revisions.delete_many({"document_id": {"$in": some}})
                signatures.delete_many({"_id": {"$in": some}})
            own = {"author_id": self._author}
            guests = set(document_ids) - {one["_id"] for one in documents.find(own, {"_id": 1})}
            for some in slices(guests):  # while the pages still lead to them
                documents.delete_many({"_id": {"$in": some}})
            for name in BY_AUTHOR:
                self._warehouse.collection(name).delete_many(own)
