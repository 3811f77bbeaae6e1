"""The answers that a router has given, kept so that their callers can judge them.

They are written by a thread of their own from a bounded queue: a store that is slow or away delays
no answer and fails none. What does not fit into the queue is dropped, counted, and logged once.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self, TypeVar

import structlog

from twin.domain.answer import Answer
from twin.domain.conversation import Turn
from twin.domain.draft_comparison import DraftComparison, Preferred
from twin.domain.errors import TwinError
from twin.domain.feedback import Feedback, KeptAnswer
from twin.serving.errors import RETRY_AFTER_SECONDS, ApiError
from twin.serving.metrics import ANSWERS_DROPPED, Metrics
from twin.settings import Settings
from twin.stores.answer_records import AnswerRecords
from twin.stores.draft_comparisons import DraftComparisons
from twin.stores.warehouse import lasting_warehouse

#: Answers that wait to be written.
MOST_WAITING = 1_000
#: An answer with its sources has some ten thousand bytes.
MOST_BYTES = 200_000
#: Of the turns before an answer the newest are kept, up to so many.
MOST_TURNS = 200
MOST_CHARACTERS_OF_TURNS = 50_000
AT_ONCE = 100
#: Given up after so many attempts: some minutes, in which the queue fills.
ATTEMPTS = 12
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
#: Another router may have given the answer a moment ago.
SECONDS_TO_ARRIVE = 0.3

log = structlog.get_logger("twin.serving")

Entry = tuple[str, KeptAnswer]
Found = TypeVar("Found")


@dataclass(frozen=True)
class Earlier:
    """What an answer goes on from: the turns before it, and the documents that they came from.

    ``previous`` is the id of the answer before it.
    """

    previous: str | None = None
    turns: tuple[Turn, ...] = ()
    documents: tuple[str, ...] = ()

    @classmethod
    def of(cls, kept: KeptAnswer) -> Self:
        """What goes on from a kept answer."""
        return cls(kept.answer.id, kept.conversation, kept.documents)

    def newest(self) -> tuple[Turn, ...]:
        """The turns that are kept, from a user's turn on."""
        turns = list(self.turns[-MOST_TURNS:])
        size = sum(len(turn.content) for turn in turns)
        while turns and (size > MOST_CHARACTERS_OF_TURNS or turns[0].role == "assistant"):
            size -= len(turns.pop(0).content)
        return tuple(turns)


NOTHING_EARLIER = Earlier()


class AnswerBook:
    """Keeps answers, and takes their callers' feedback. Makes no connection before its first use.

    Args:
        settings: where the warehouse is.
        most_waiting: answers in the queue.
        metrics: where those that are dropped are counted.
    """

    def __init__(
        self,
        settings: Settings,
        most_waiting: int = MOST_WAITING,
        *,
        metrics: Metrics | None = None,
    ) -> None:
        self.settings = settings
        self._metrics = metrics
        self._waiting: queue.Queue[Entry] = queue.Queue(most_waiting)
        self._lock = threading.Lock()
        self._records: AnswerRecords | None = None
        self._preparing = threading.Lock()
        self._prepared = False
        self._thread: threading.Thread | None = None
        self._away = False
        self.dropped = 0

    def keep(
        self, caller: str, answer: Answer, days: int, earlier: Earlier = NOTHING_EARLIER
    ) -> None:
        """Keep an answer for so many days (0: not at all). Never waits and never fails.

        Args:
            caller: id of the key that asked.
            answer: as it was given.
            days: until it expires.
            earlier: what it goes on from.
        """
        if not days:
            return
        kept = _kept(answer, days, earlier)
        try:
            if len(kept.model_dump_json()) > MOST_BYTES:
                raise ValueError("too large")
            self._waiting.put_nowait((caller, kept))
        except (ValueError, queue.Full) as error:
            self._drop(1, "the queue is full" if isinstance(error, queue.Full) else str(error))
        self._start()

    async def keep_now(self, caller: str, answer: Answer, days: int, earlier: Earlier) -> None:
        """Keep an answer before this returns; see `keep`. One that is kept already stays as it is.

        Raises:
            TryAgainError: the store is away.
        """
        entry = (caller, _kept(answer, days, earlier))
        await asyncio.to_thread(lambda: self._prepared_store().add([entry]))

    async def find(self, answer_id: str, caller: str) -> KeptAnswer:
        """An answer to this caller.

        Raises:
            ApiError: 404 if there is none, 503 if the store is away.
        """
        return await self._found(lambda records, now: records.find(answer_id, caller, now))

    async def judge(self, answer_id: str, caller: str, feedback: Feedback) -> KeptAnswer:
        """Take feedback on an answer to this caller, in place of what it gave before.

        Raises:
            ApiError: 404 if there is no such answer, 503 if the store is away.
        """
        return await self._found(
            lambda records, now: records.judge(answer_id, caller, feedback, now)
        )

    async def compare(self, caller: str, comparison: DraftComparison) -> None:
        """Keep a blind comparison of drafts; its drafts are kept like all answers.

        Raises:
            ApiError: 503 if the store is away.
        """
        await asyncio.to_thread(self._asked, lambda _, __: self._compared().add(caller, comparison))

    async def decide(self, identity: str, caller: str, preferred: Preferred) -> DraftComparison:
        """Take a vote on a comparison of this caller; the first one stands.

        Raises:
            ApiError: 404 if there is no such comparison, 503 if the store is away.
        """
        return await self._found(
            lambda _, now: self._compared().decide(identity, caller, preferred, now)
        )

    def _compared(self) -> DraftComparisons:
        return DraftComparisons(lasting_warehouse(self.settings))

    async def delete(self, answer_id: str, caller: str) -> None:
        """Erase an answer to this caller.

        Raises:
            ApiError: 404 if there is none, 503 if the store is away.
        """
        await self._found(lambda records, now: records.delete(answer_id, caller, now))

    async def _found(self, look: Callable[[AnswerRecords, datetime], Found | None]) -> Found:
        for pause in (SECONDS_TO_ARRIVE, 0):
            found = await asyncio.to_thread(self._asked, look)
            if found:
                return found
            await asyncio.sleep(pause)
        raise ApiError(
            404,
            "no such answer to this key: it was never given, is not kept, or has expired",
            code="answer_not_found",
        )

    def _asked(self, look: Callable[[AnswerRecords, datetime], Found]) -> Found:
        try:
            found = look(self._store(), datetime.now(UTC))
        except TwinError as error:
            self._say_away(error)
            raise ApiError(
                503,
                "answers can't be read or judged now: try again in a few seconds",
                code="store_unavailable",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            ) from None
        self._away = False
        return found

    def _store(self) -> AnswerRecords:
        with self._lock:
            if self._records is None:
                self._records = AnswerRecords(lasting_warehouse(self.settings))
            return self._records

    def _prepared_store(self) -> AnswerRecords:
        """The store with its indexes, which come before what is kept."""
        records = self._store()
        with self._preparing:
            if not self._prepared:
                records.prepare()
                self._prepared = True
        return records

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="answers", daemon=True)
                self._thread.start()

    def _write(self) -> None:
        while True:
            entries = self._next()
            pause = FIRST_PAUSE_SECONDS
            for _ in range(ATTEMPTS):
                try:
                    self._prepared_store().add(entries)
                    self._away = False
                    break
                except TwinError as error:
                    self._say_away(error)
                except Exception as error:
                    # Whatever the driver can't write, the answers after it are to be kept.
                    self._drop(len(entries), f"{type(error).__name__}: {error}")
                    break
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                self._drop(len(entries), "the store is away")

    def _next(self) -> list[Entry]:
        """What waits, at least one."""
        entries = [self._waiting.get()]
        while len(entries) < AT_ONCE:
            try:
                entries.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return entries

    def _say_away(self, error: TwinError) -> None:
        if not self._away:
            log.warning("answers are not kept now", reason=str(error))
        self._away = True

    def _drop(self, number: int, reason: str) -> None:
        if not self.dropped:
            log.warning("answers are dropped that should have been kept", reason=reason)
        self.dropped += number
        if self._metrics:
            self._metrics.count(ANSWERS_DROPPED, number)


def _kept(answer: Answer, days: int, earlier: Earlier) -> KeptAnswer:
    now = datetime.now(UTC)
    return KeptAnswer(
        answer=answer,
        created=now,
        expires=now + timedelta(days=days),
        previous=earlier.previous,
        history=earlier.newest(),
        earlier_documents=earlier.documents,
    )
