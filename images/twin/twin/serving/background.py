"""Answers in the background: taken in at once, written when there is room, told when they end.

They wait in the warehouse, and every replica of the router takes them up. One whose replica ends
is written by another, or is told as failed: none is lost. They count against the limits of their
key as if it asked now.
"""

import asyncio
import contextlib
import threading
import traceback
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import structlog

from twin.domain.answer import Answer
from twin.domain.background import BackgroundAnswer, State
from twin.domain.errors import BadDataError, TryAgainError, TwinError
from twin.serving.access import CALLER, Caller, Keys
from twin.serving.answer_book import AnswerBook
from twin.serving.asking import Asking
from twin.serving.caller_limits import CallerLimits
from twin.serving.errors import RETRY_AFTER_SECONDS, ApiError
from twin.serving.metering import METERING, Metering
from twin.serving.metrics import BACKGROUND, WEBHOOKS, Metrics
from twin.serving.previous_response import previous
from twin.serving.responses_schema import ResponseRequest
from twin.serving.webhooks import Webhooks
from twin.stores.addresses import RefusedAddressError
from twin.stores.background_answers import BackgroundAnswers
from twin.stores.guarded_client import UnknownHostError
from twin.stores.warehouse import lasting_warehouse

#: An answer that is not written by then has failed.
HOURS = 24
#: A question whose replicas end one after the other may be the reason.
MOST_BEGINNINGS = 3
#: A key that was made a moment ago may not be known here yet.
SECONDS_TO_KNOW_A_KEY = 60.0
TELLINGS_AT_ONCE = 8
#: As long as a server that is away is waited for.
SECONDS_FOR_THE_STORE = 3.0

log = structlog.get_logger("twin.serving")

Result = TypeVar("Result")


@dataclass(frozen=True)
class Pace:
    """How often a writer looks at the store, and how long it is given, in seconds.

    Attributes:
        look: between looks for what others have left; what comes in here is seen at once.
        away: the same, while the store is away.
        hold: between looks whether an answer that is being written was cancelled.
        lease: after which an answer that nobody has held is another's to write.
        retries: before each further attempt to tell a webhook.
    """

    look: float = 2.0
    away: float = 15.0
    hold: float = 2.0
    lease: float = 30.0
    retries: tuple[float, ...] = (5.0, 60.0, 600.0, 3_600.0, 21_600.0)


class BackgroundWriter:
    """Takes answers in, and writes those that are due while it is `running`.

    To be used on one event loop.

    Args:
        asking: has questions answered; its backend heeds `CALLER`.
        book: keeps what is answered, and names the store.
        keys: whose callers ask.
        limits: of callers.
        metrics: where ends are counted.
        pace: of looking.
    """

    def __init__(
        self,
        asking: Asking,
        book: AnswerBook,
        keys: Keys,
        limits: CallerLimits,
        metrics: Metrics,
        pace: Pace | None = None,
    ) -> None:
        self._asking = asking
        self._book = book
        self._keys = keys
        self._limits = limits
        self._metrics = metrics
        self._pace = pace or Pace()
        self._webhooks = Webhooks(book.settings)
        self._lock = threading.Lock()
        self._records: BackgroundAnswers | None = None
        self._writing: dict[str, asyncio.Task[None]] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._away = False
        self._ending = False

    async def submit(self, caller: str, request: ResponseRequest, days: int) -> BackgroundAnswer:
        """Take a request in.

        Args:
            caller: id of the key that asks.
            request: what is asked, already looked at by `Asking.asked`.
            days: how long its twin keeps answers.

        Raises:
            ApiError: 400 if its twin keeps none or its webhook can't be told, 429 if too many
                wait, 503 if the store is away.
        """
        if not days:
            raise ApiError(
                400, "background: this twin keeps no answers, so none could be read later",
                code="invalid_value", param="background",
            )  # fmt: skip
        if request.webhook is not None:
            await self._webhooks.check(request.webhook)
        now = datetime.now(UTC)
        made = BackgroundAnswer(
            id=uuid.uuid4().hex,
            caller=caller,
            model=request.model,
            request=request.model_dump_json(by_alias=True, exclude_none=True),
            created=now,
            expires=now + timedelta(days=days),
            give_up=now + timedelta(hours=HOURS),
            due=now,
            webhook=request.webhook,
        )
        most = self._book.settings.key_background_answers
        if not await self._asked(lambda records: records.add(made, most)):
            raise ApiError(
                429, f"this key may have {most:,} answers in the background waiting or under way",
                code="rate_limit_exceeded", kind="requests",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            )  # fmt: skip
        self._news.set()
        return made

    async def find(self, identity: str, caller: str) -> BackgroundAnswer | None:
        """One of a caller's.

        Raises:
            ApiError: 503 if the store is away.
        """
        return await self._asked(lambda records: records.find(identity, caller, _now()))

    async def cancel(self, found: BackgroundAnswer) -> None:
        """End one unless it has ended; what writes it elsewhere stops within seconds.

        Raises:
            ApiError: 503 if the store is away.
        """
        if await self._asked(lambda records: records.cancel(found, _now())):
            self._metrics.count(BACKGROUND, outcome=State.CANCELLED)
            self._stop(found)
            self._news.set()

    async def delete(self, found: BackgroundAnswer) -> None:
        """Erase one; what writes it elsewhere stops within seconds.

        Raises:
            ApiError: 503 if the store is away.
        """
        await self._asked(lambda records: records.delete(found.id, found.caller))
        self._stop(found)

    def _stop(self, found: BackgroundAnswer) -> None:
        if task := self._writing.get(found.id):
            task.cancel()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write what is due; at the end, what is under way is left to other replicas at once."""
        looking = asyncio.create_task(self._look_again_and_again())
        try:
            yield
        finally:
            self._ending = True
            tasks = [looking, *self._writing.values(), *self._telling]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_again_and_again(self) -> None:
        while True:
            self._news.clear()
            try:
                await self._take_what_is_due()
                self._away = False
            except TwinError as error:
                if not self._away:
                    log.warning("answers in the background wait", reason=str(error))
                self._away = True
            with contextlib.suppress(TimeoutError):
                pause = self._pace.away if self._away else self._pace.look
                await asyncio.wait_for(self._news.wait(), pause)

    async def _take_what_is_due(self) -> None:
        lease = timedelta(seconds=self._pace.lease)
        while len(self._writing) < self._book.settings.background_at_once:
            taken = await self._call(lambda records: records.take(_now(), lease))
            if taken is None:
                break
            self._writing[taken.id] = asyncio.create_task(self._write(taken))
        while len(self._telling) < TELLINGS_AT_ONCE:
            ended = await self._call(lambda records: records.take_to_tell(_now(), lease))
            if ended is None:
                break
            task = asyncio.create_task(self._tell(ended))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)
            task.add_done_callback(lambda _: self._news.set())

    async def _write(self, taken: BackgroundAnswer) -> None:
        """Write one, or put it back, or say that it has failed."""
        writing = asyncio.current_task()
        holding = asyncio.create_task(self._hold(taken, writing))
        try:
            await self._end(taken, await self._written(taken))
        except ApiError as error:
            await self._refused(taken, error)
        except BadDataError as error:
            await self._end(taken, State.FAILED, str(error))
        except TwinError as error:
            # The store is away: the lease ends by itself, and whoever is there then takes it up.
            log.warning("an answer in the background is left", answer=taken.id, reason=str(error))
        except asyncio.CancelledError:
            if self._ending:
                await self._left(taken)
            raise
        except Exception:
            log.error("background failed", answer=taken.id, trace=traceback.format_exc())
            await self._end(taken, State.FAILED, ApiError.failed().message)
        finally:
            holding.cancel()
            self._writing.pop(taken.id, None)
            self._news.set()

    async def _written(self, taken: BackgroundAnswer) -> State:
        """Ask, and keep what is answered.

        Raises:
            ApiError: it can't be answered now (429, 503), or at all.
            TryAgainError: the store is away.
        """
        if _now() >= taken.give_up or taken.request is None:
            raise ApiError(500, f"not written within {HOURS} hours", code="expired")
        if taken.begun > MOST_BEGINNINGS:
            raise ApiError(
                500, f"begun {MOST_BEGINNINGS} times, and each time what wrote it ended",
                code="internal_error",
            )  # fmt: skip
        caller = self._caller(taken)
        CALLER.set(caller)
        metering = Metering()
        METERING.set(metering)
        # The request was counted when it came in.
        limits = caller.limits.model_copy(update={"requests_per_minute": None})
        admission = await self._limits.admit(replace(caller, limits=limits), asks=True)
        try:
            request = ResponseRequest.model_validate_json(taken.request)
            earlier = request.earlier(await previous(self._book, request, taken.caller))
            target = self._asking.backend.table.target(taken.model)
            answer = await self._asking.backend.answer(target, request.query(earlier))
        finally:
            self._limits.release(admission, metering.tokens)
        answer = answer.model_copy(update={"id": taken.id})
        await self._book.keep_now(taken.caller, answer, target.answers_kept_days, earlier)
        return _state(answer)

    def _caller(self, taken: BackgroundAnswer) -> Caller:
        caller = self._keys.caller(taken.caller)
        if caller is not None:
            return caller
        if _now() - taken.created < timedelta(seconds=SECONDS_TO_KNOW_A_KEY):
            raise ApiError(503, "its key is not known here yet", code="keys_unavailable")
        raise ApiError(401, "its key opens nothing any more", code="invalid_api_key")

    async def _hold(self, taken: BackgroundAnswer, writing: "asyncio.Task[Any] | None") -> None:
        """Renew the lease; stop the writing when it was cancelled."""
        lease = timedelta(seconds=self._pace.lease)
        while True:
            await asyncio.sleep(self._pace.hold)
            with contextlib.suppress(TwinError):
                if not await self._call(lambda records: records.hold(taken, _now(), lease)):
                    if writing:
                        writing.cancel()
                    return

    async def _refused(self, taken: BackgroundAnswer, error: ApiError) -> None:
        if error.status not in (429, 503):
            await self._end(taken, State.FAILED, error.message)
            return
        wait = float(error.headers.get("Retry-After", RETRY_AFTER_SECONDS))
        due = _now() + timedelta(seconds=wait)
        if due >= taken.give_up:
            await self._end(taken, State.FAILED, error.message)
            return
        with contextlib.suppress(TwinError):
            await self._call(lambda records: records.put_back(taken, due, counts=False))

    async def _left(self, taken: BackgroundAnswer) -> None:
        with contextlib.suppress(TwinError):
            await asyncio.shield(
                self._call(lambda records: records.put_back(taken, _now(), counts=False))
            )

    async def _end(self, taken: BackgroundAnswer, state: State, error: str | None = None) -> None:
        with contextlib.suppress(TwinError):  # taken up again when its lease is over
            if await self._call(lambda records: records.end(taken, state, _now(), error)):
                self._metrics.count(BACKGROUND, outcome=state)

    async def _tell(self, ended: BackgroundAnswer) -> None:
        again: datetime | None = None
        try:
            told = await self._webhooks.tell(ended)
        except (RefusedAddressError, UnknownHostError) as error:
            log.warning("a webhook is given up", answer=ended.id, reason=str(error))
            told, outcome = False, "given_up"
        else:
            outcome = "told" if told else "given_up"
            if not told and ended.tellings < len(self._pace.retries):
                outcome = "again"
                again = _now() + timedelta(seconds=self._pace.retries[ended.tellings])
        with contextlib.suppress(TwinError):
            await self._call(lambda records: records.note_telling(ended, again))
        self._metrics.count(WEBHOOKS, outcome=outcome)

    def _call(self, look: Callable[[BackgroundAnswers], Result]) -> Coroutine[Any, Any, Result]:
        return asyncio.to_thread(lambda: look(self._store()))

    async def _asked(self, look: Callable[[BackgroundAnswers], Result]) -> Result:
        """As `_call`, for a caller who waits."""
        try:
            return await self._call(look)
        except TwinError:
            raise ApiError(
                503, "answers in the background can't be kept or read now: try again in a few "
                "seconds", code="store_unavailable",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            ) from None  # fmt: skip

    def _store(self) -> BackgroundAnswers:
        """The store, with its indexes. They come first: of the laptop's server an insert and an
        index that make the same collection at the same time each wait for the other, for ever."""
        if self._records is not None:
            return self._records
        # One waits for a store that is away, and not all that ask, one after the other.
        if not self._lock.acquire(timeout=SECONDS_FOR_THE_STORE):
            raise TryAgainError("the store of answers in the background is slow or away")
        try:
            if self._records is None:
                records = BackgroundAnswers(lasting_warehouse(self._book.settings))
                records.prepare()
                self._records = records
            return self._records
        finally:
            self._lock.release()


def _state(answer: Answer) -> State:
    return State.INCOMPLETE if answer.finish_reason == "length" else State.COMPLETED


def _now() -> datetime:
    return datetime.now(UTC)
