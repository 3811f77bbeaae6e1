"""Answers that are yet to be written: the warehouse's collection ``background_answers``.

Any replica takes the next one up. Each change names the state that it starts from, so that of two
replicas that want the same one has it; one that was begun and whose replica has ended is due again
after a while. A record is deleted with its answer, by the server itself.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from twin.domain.background import PENDING, BackgroundAnswer, State
from twin.stores.warehouse import Warehouse

if TYPE_CHECKING:
    from pymongo.collection import Collection

COLLECTION = "background_answers"
#: Read at once to choose from: as many replicas as that may look at the same moment.
CANDIDATES = 20

Record = dict[str, Any]


class BackgroundAnswers:
    """The records. Every method raises `TryAgainError` if the warehouse is away."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def prepare(self) -> None:
        """Create the indexes, if they are not there."""
        with self._warehouse.plain_errors():
            answers = self._answers()
            answers.create_index("expires", expireAfterSeconds=0)
            answers.create_index([("state", 1), ("due", 1)])
            answers.create_index("told_due")
            answers.create_index([("caller", 1), ("state", 1)])

    def add(self, answer: BackgroundAnswer, most: int) -> bool:
        """Put one in the queue; False if its key has ``most`` of them waiting or under way."""
        pending = {"caller": answer.caller, "state": {"$in": list(PENDING)}}
        with self._warehouse.plain_errors():
            self._answers().insert_one(_record(answer))
            # Counted after it was added: of several at once none passes the limit.
            if self._answers().count_documents(pending) <= most:
                return True
            self._answers().delete_one({"_id": answer.id})
        return False

    def find(self, answer_id: str, caller: str, now: datetime) -> BackgroundAnswer | None:
        """One of this caller's."""
        query = {"_id": answer_id, "caller": caller, "expires": {"$gt": now}}
        with self._warehouse.plain_errors():
            found = self._answers().find_one(query)
        return _answer(found) if found else None

    def take(self, now: datetime, lease: timedelta) -> BackgroundAnswer | None:
        """Begin the one that has been due for longest: for the length of a lease it is the
        caller's of this method alone."""
        due = {"state": {"$in": list(PENDING)}, "due": {"$lte": now}}
        with self._warehouse.plain_errors():
            for found in list(self._answers().find(due).sort("due", 1).limit(CANDIDATES)):
                same = {"_id": found["_id"], "state": found["state"], "due": found["due"]}
                taken = {"state": State.IN_PROGRESS.value, "due": now + lease}
                change = {"$set": taken, "$inc": {"begun": 1}}
                if self._answers().update_one(same, change).modified_count:
                    return _answer({**found, **taken, "begun": found["begun"] + 1})
        return None

    def hold(self, answer: BackgroundAnswer, now: datetime, lease: timedelta) -> bool:
        """Say that it is still being written; False: it was cancelled, or another writes it."""
        change = {"$set": {"due": now + lease}}
        return self._change(answer, change)

    def put_back(self, answer: BackgroundAnswer, due: datetime, *, counts: bool) -> None:
        """Let it be begun later.

        Args:
            answer: as it was taken.
            due: when.
            counts: whether it was begun in earnest.
        """
        change: Record = {"$set": {"state": State.QUEUED.value, "due": due}}
        if not counts:
            change["$inc"] = {"begun": -1}
        self._change(answer, change)

    def end(
        self, answer: BackgroundAnswer, state: State, now: datetime, error: str | None = None
    ) -> bool:
        """End it, and erase what was asked; False: it was cancelled, or another writes it."""
        return self._change(answer, _ending(answer, state, now, error))

    def cancel(self, answer: BackgroundAnswer, now: datetime) -> bool:
        """End one that waits or is under way, whoever writes it; False: it has ended before."""
        query = {"_id": answer.id, "state": {"$in": list(PENDING)}}
        with self._warehouse.plain_errors():
            done = self._answers().update_one(query, _ending(answer, State.CANCELLED, now))
        return done.modified_count > 0

    def delete(self, answer_id: str, caller: str) -> bool:
        """Erase one of this caller's, at whatever state; False: there is none."""
        with self._warehouse.plain_errors():
            gone = self._answers().delete_one({"_id": answer_id, "caller": caller})
        return gone.deleted_count > 0

    def take_to_tell(self, now: datetime, lease: timedelta) -> BackgroundAnswer | None:
        """One whose end is to be told now: for the length of a lease nobody else tells it."""
        with self._warehouse.plain_errors():
            due = self._answers().find({"told_due": {"$lte": now}})
            for found in list(due.sort("told_due", 1).limit(CANDIDATES)):
                same = {"_id": found["_id"], "told_due": found["told_due"]}
                change = {"$set": {"told_due": now + lease}}
                if self._answers().update_one(same, change).modified_count:
                    return _answer({**found, **change["$set"]})
        return None

    def note_telling(self, answer: BackgroundAnswer, again: datetime | None) -> None:
        """Its end was told; in vain if it is to be told again."""
        change: Record = {"$set": {"told_due": again}}
        if again is not None:
            change["$inc"] = {"tellings": 1}
        with self._warehouse.plain_errors():
            self._answers().update_one({"_id": answer.id}, change)

    def pending(self, caller: str) -> int:
        """How many of a key's wait or are under way."""
        query = {"caller": caller, "state": {"$in": list(PENDING)}}
        with self._warehouse.plain_errors():
            return self._answers().count_documents(query)

    def _change(self, answer: BackgroundAnswer, change: Record) -> bool:
        """Change what is still as its writer has it."""
        mine = {"_id": answer.id, "state": State.IN_PROGRESS.value, "begun": answer.begun}
        with self._warehouse.plain_errors():
            return self._answers().update_one(mine, change).matched_count > 0

    def _answers(self) -> "Collection[Record]":
        return self._warehouse.collection(COLLECTION)


def _ending(
    answer: BackgroundAnswer, state: State, now: datetime, error: str | None = None
) -> Record:
    told = now if answer.webhook else None
    return {"$set": {"state": state.value, "error": error, "request": None, "told_due": told}}


def _record(answer: BackgroundAnswer) -> Record:
    record = answer.model_dump(exclude={"id"})
    return {"_id": answer.id, **record, "state": answer.state.value}


def _answer(record: Record) -> BackgroundAnswer:
    return BackgroundAnswer.model_validate({**record, "id": record["_id"]})
