"""Answers that were given, with their callers' feedback: the warehouse's collection ``answers``.

Each is deleted when its time is over, by the server itself; what is over is not read before that.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from twin.domain.feedback import Feedback, KeptAnswer
from twin.stores.warehouse import Warehouse
from twin.stores.warehouse_connection import slices, storable

if TYPE_CHECKING:
    from pymongo.collection import Collection as Stored

ANSWERS = "answers"

Record = dict[str, Any]


class AnswerRecords:
    """Every method raises `TryAgainError` if the warehouse is away.

    A caller reads and judges the answers to its own key only: to others they are not there.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def prepare(self) -> None:
        """Create the indexes, if they are not there."""
        with self._warehouse.plain_errors():
            answers = self._answers()
            answers.create_index("expires", expireAfterSeconds=0)
            answers.create_index("documents")
            answers.create_index([("answer.model", 1), ("given", 1)])

    def add(self, kept: Sequence[tuple[str, KeptAnswer]]) -> None:
        """Keep answers, each with the id of its caller; those that are there stay as they are.

        One that was being written while a document of its was forgotten is not kept.
        """
        with self._warehouse.plain_errors():
            gone = self._forgotten({id_ for _, each in kept for id_ in each.documents})
            self._warehouse.add_new(
                ANSWERS,
                [_record(caller, each) for caller, each in kept if gone.isdisjoint(each.documents)],
            )

    def find(self, answer_id: str, caller: str, now: datetime) -> KeptAnswer | None:
        """An answer to this caller."""
        with self._warehouse.plain_errors():
            found = self._answers().find_one(_query(answer_id, caller, now))
        return _kept(found) if found else None

    def judge(
        self, answer_id: str, caller: str, feedback: Feedback, now: datetime
    ) -> KeptAnswer | None:
        """Take the caller's feedback in place of what it gave before; None: no such answer."""
        from pymongo import ReturnDocument

        with self._warehouse.plain_errors():
            found = self._answers().find_one_and_update(
                _query(answer_id, caller, now),
                {"$set": {"feedback": storable(feedback), "given": now}},
                return_document=ReturnDocument.AFTER,
            )
        return _kept(found) if found else None

    def delete(self, answer_id: str, caller: str, now: datetime) -> bool:
        """Erase an answer to this caller; False: no such answer."""
        with self._warehouse.plain_errors():
            found = self._answers().delete_one(_query(answer_id, caller, now))
        return found.deleted_count > 0

    def judged(self, model: str, now: datetime) -> Iterator[KeptAnswer]:
        """A model's answers that have feedback, by the time it was given."""
        query = {"answer.model": model, "given": {"$ne": None}, "expires": {"$gt": now}}
        with self._warehouse.plain_errors():
            for found in self._answers().find(query).sort("given", 1):
                yield _kept(found)

    def forget(self, document_ids: Collection[str]) -> int:
        """Erase the answers whose sources, or those of the turns before them, include one of
        these documents; returns how many."""
        erased = 0
        with self._warehouse.plain_errors():
            for some in slices(document_ids):
                erased += self._answers().delete_many({"documents": {"$in": some}}).deleted_count
        return erased

    def _forgotten(self, document_ids: Collection[str]) -> set[str]:
        """Those of these documents that are forgotten."""
        notes = self._warehouse.collection("forgotten")
        return {
            found["_id"]
            for some in slices(document_ids)
            for found in notes.find({"_id": {"$in": some}}, {"_id": 1})
        }

    def _answers(self) -> "Stored[Record]":
        return self._warehouse.collection(ANSWERS)


def _record(caller: str, kept: KeptAnswer) -> Record:
    return {
        "_id": kept.answer.id,
        "caller": caller,
        "documents": list(kept.documents),
        "given": None,
        **kept.model_dump(),
        "history": [turn.model_dump() for turn in kept.history],
        "answer": kept.answer.model_dump(mode="json"),
    }


def _kept(record: Record) -> KeptAnswer:
    return KeptAnswer.model_validate(record)


def _query(answer_id: str, caller: str, now: datetime) -> Record:
    return {"_id": answer_id, "caller": caller, "expires": {"$gt": now}}
