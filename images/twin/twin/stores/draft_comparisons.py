"""Blind comparisons of drafts: the warehouse's collection ``draft_comparisons``.

It holds no text, but the ids of drafts; the server deletes each when its time is over.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from twin.domain.draft_comparison import DraftComparison, Preferred
from twin.stores.warehouse import Warehouse

if TYPE_CHECKING:
    from pymongo.collection import Collection as Stored

COMPARISONS = "draft_comparisons"

Record = dict[str, Any]


class DraftComparisons:
    """Every method raises `TryAgainError` if the warehouse is away.

    A caller sees the comparisons of its own key only: to others they are not there.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def add(self, caller: str, comparison: DraftComparison) -> None:
        """Keep a comparison of this caller."""
        record = {
            "_id": comparison.id,
            "caller": caller,
            **comparison.model_dump(exclude={"id"}),
        }
        with self._warehouse.plain_errors():
            self._stored().create_index("expires", expireAfterSeconds=0)
            self._warehouse.add_new(COMPARISONS, [record])

    def decide(
        self, identity: str, caller: str, preferred: Preferred, now: datetime
    ) -> DraftComparison | None:
        """Take the first vote, which stands; None: no such comparison."""
        from pymongo import ReturnDocument

        of_caller = {"_id": identity, "caller": caller, "expires": {"$gt": now}}
        with self._warehouse.plain_errors():
            found = self._stored().find_one_and_update(
                {**of_caller, "preferred": None},
                {"$set": {"preferred": preferred}},
                return_document=ReturnDocument.AFTER,
            ) or self._stored().find_one(of_caller)
        return _comparison(found) if found else None

    def _stored(self) -> "Stored[Record]":
        return self._warehouse.collection(COMPARISONS)


def _comparison(record: Record) -> DraftComparison:
    return DraftComparison.model_validate({**record, "id": record["_id"]})
