"""Writes of many threads in few commands.

The warehouse answers a write when it is on disk. Threads that each wait for a disk of their own
are as slow as one; here those that come while it is busy share the next command.
"""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymongo import InsertOne, UpdateOne
    from pymongo.collection import Collection
    from pymongo.errors import PyMongoError

DUPLICATE_KEY = 11000  # a server code


@dataclass
class _Waiting:
    operation: "InsertOne[dict[str, Any]] | UpdateOne"
    done: bool = False
    error: "PyMongoError | None" = None
    wake: threading.Event = field(default_factory=threading.Event)
    """Set when it is done, or when its thread is to write for all who wait."""


class GroupedWrites:
    """Writes to one collection. Safe to share between threads: that is what it is for."""

    def __init__(self, collection: "Collection[dict[str, Any]]") -> None:
        self._collection = collection
        self._waiting: list[_Waiting] = []
        self._lock = threading.Lock()
        self._busy = False

    def write(self, operation: "InsertOne[dict[str, Any]] | UpdateOne") -> None:
        """Returns when the operation is stored, perhaps together with others' and in any order.

        Raises:
            DuplicateKeyError: what it inserts is there.
            PyMongoError: the server is away or refuses it.
        """
        mine = _Waiting(operation)
        with self._lock:
            self._waiting.append(mine)
            waits, self._busy = self._busy, True
        if waits:
            mine.wake.wait()
        if not mine.done:
            self._write_all()
        if mine.error is not None:
            raise mine.error

    def _write_all(self) -> None:
        from pymongo.errors import BulkWriteError, PyMongoError

        with self._lock:
            group, self._waiting = self._waiting, []
        try:
            self._collection.bulk_write([one.operation for one in group], ordered=False)
        except BulkWriteError as error:
            for failed in error.details.get("writeErrors", ()):
                group[failed["index"]].error = _error(failed)
        except PyMongoError as error:
            for one in group:
                one.error = error
        finally:
            for one in group:
                one.done = True
                one.wake.set()
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._busy = following is not None
            if following is not None:
                following.wake.set()


def _error(failed: dict[str, Any]) -> "PyMongoError":
    from pymongo.errors import DuplicateKeyError, OperationFailure

    code, message = failed.get("code"), str(failed.get("errmsg", ""))
    kind = DuplicateKeyError if code == DUPLICATE_KEY else OperationFailure
    return kind(message, code)
