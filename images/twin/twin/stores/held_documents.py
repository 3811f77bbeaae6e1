"""Documents that wait for their crawl to end well, and how they are let through."""

from typing import TYPE_CHECKING, Any

from twin.domain.document import Document, DocumentStatus
from twin.stores.holding import NOTHING_HELD
from twin.stores.warehouse import Warehouse
from twin.stores.warehouse_connection import slices
from twin.stores.warehouse_documents import revision_key

if TYPE_CHECKING:
    from pymongo import UpdateOne

Record = dict[str, Any]


class HeldDocuments:
    """See `twin.stores.holding`. Every method raises `TryAgainError` if the warehouse is away."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def of(self, author_id: str | None, source: str | None = None) -> list[Document]:
        """What waits of an author's sources, of one of them, or of everybody's (None).

        Without their text, as they are to become, by URL; those of guests included.
        """
        with self._warehouse.plain_errors():
            documents = self._warehouse.collection("documents")
            found = list(documents.find(_query(author_id, source), {"content": 0}))
        items = [{**one, **(one.get("coming") or {}), "id": one["_id"]} for one in found]
        made = [Document.model_validate({**one, "content": ""}) for one in items]
        return sorted(made, key=lambda item: item.url)

    def accept(self, author_id: str, source: str | None = None) -> int:
        """Let them through: they are live now. Returns how many waited.

        Each by itself, so that a kill leaves the rest waiting, for the next time.
        """
        with self._warehouse.plain_errors():
            documents = self._warehouse.collection("documents")
            query = _query(author_id, source)
            live = {"status": DocumentStatus.LIVE.value, **NOTHING_HELD}
            new = documents.update_many(
                {**query, "status": DocumentStatus.HELD.value}, {"$set": live}
            )
            changed = {
                one["_id"]: one["coming"] for one in documents.find(query, {"coming": 1})
                if one.get("coming")
            }  # fmt: skip
            for some in slices(changed):
                writes = self._changes({identity: changed[identity] for identity in some})
                documents.bulk_write(writes, ordered=False)
        return int(new.modified_count) + len(changed)

    def _changes(self, coming: dict[str, Record]) -> "list[UpdateOne]":
        """What makes of documents that stand what they are to become."""
        from pymongo import UpdateOne

        keys = [revision_key(identity, one["revision"]) for identity, one in coming.items()]
        revisions = self._warehouse.collection("revisions")
        texts = {
            one["_id"]: one["content"]
            for one in revisions.find({"_id": {"$in": keys}}, {"content": 1})
        }
        return [
            UpdateOne(
                # Unless another crawl has brought another text meanwhile.
                {"_id": identity, "coming.revision": one["revision"]},
                {"$set": {**one, "content": texts[key], **NOTHING_HELD}},
            )
            for (identity, one), key in zip(coming.items(), keys, strict=True)
        ]

    def newest_text(self, document_id: str) -> str:
        """The text that a document is to have; "" if there is no such document."""
        with self._warehouse.plain_errors():
            wanted = {"content": 1, "coming.revision": 1}
            stored = self._warehouse.collection("documents").find_one({"_id": document_id}, wanted)
            if stored is None:
                return ""
            coming = stored.get("coming")
            if coming:
                key = revision_key(document_id, coming["revision"])
                stored = self._warehouse.collection("revisions").find_one({"_id": key}) or stored
        return str(stored["content"])


def _query(author_id: str | None, source: str | None = None) -> Record:
    query: Record = {"held": {"$ne": None}} if author_id is None else {"held.author": author_id}
    return query if source is None else {**query, "held.source": source}
