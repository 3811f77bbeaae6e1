"""Whether a caller may ask now: by the counts that all replicas share, else by this replica's own.

A store that is away is asked again every few seconds, and the change is logged once. Tokens that
are spent meanwhile are counted there when it is back.
"""

import asyncio
import contextlib
import math
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from twin.domain.errors import TwinError
from twin.serving.access import Caller
from twin.serving.errors import ApiError
from twin.stores.caller_counts import CallerCounts, LocalCounts, Window

#: Each waits for the store for some milliseconds.
THREADS = 8
#: How long a store that was away is left alone.
SECONDS_BETWEEN_TRIES = 5.0
#: Longer than any single call may take: calls wait for one another if many callers come at once.
LONGEST_WAIT_SECONDS = 2.0
#: How long the day's tokens of a key are taken for what they were: they are counted after each
#: answer anyway.
SECONDS_KNOWN = 1.0
#: To a caller with too many answers under way: one may end at any moment.
RETRY_SECONDS = 1

log = structlog.get_logger("twin.serving")


@dataclass
class Seen:
    """A key's tokens as the shared store knew them at a moment."""

    tokens: int
    at: float


@dataclass
class Admission:
    """A request that may go on, and what its caller is told of the limits.

    Attributes:
        granted: whether it is among the minute's requests.
        window: the minute's requests, once they are known.
        looked: how the shared store is asked for them, while the answer is already written.
        spent: the day's tokens.
        lease: of an answer under way.
        taken: of a lease that the shared store was asked for; None: it is this process's alone.
    """

    caller: Caller
    granted: bool = True
    window: Window | None = None
    looked: "Future[Window] | None" = None
    spent: int = 0
    lease: str = field(default_factory=lambda: uuid.uuid4().hex)
    taken: "Future[bool] | None" = None

    def headers(self) -> dict[str, str]:
        """As OpenAI names them (https://platform.openai.com/docs/guides/rate-limits)."""
        limits = self.caller.limits
        said: dict[str, str] = {}
        if self.window is not None:
            said |= {
                "x-ratelimit-limit-requests": str(limits.requests_per_minute),
                "x-ratelimit-remaining-requests": str(self.window.remaining),
                "x-ratelimit-reset-requests": f"{math.ceil(self.window.reset_seconds)}s",
            }
        if limits.tokens_per_day:
            said |= {
                "x-ratelimit-limit-tokens": str(limits.tokens_per_day),
                "x-ratelimit-remaining-tokens": str(max(0, limits.tokens_per_day - self.spent)),
                "x-ratelimit-reset-tokens": f"{_seconds_to_midnight()}s",
            }
        return said


class CallerLimits:
    """Admits requests by their callers' limits. To be used on one event loop.

    Args:
        shared: counts that all replicas share; None: this process counts alone.
        clock: seconds that never go back.
    """

    def __init__(
        self, shared: CallerCounts | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._shared = shared
        self._clock = clock
        self._local = LocalCounts()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="limits")
        self._away = False
        self._next_try = -math.inf
        #: Tokens by key and day: as the shared store last said, and those it has not been told of.
        self._seen: dict[tuple[str, str], Seen] = {}
        self._unsaid: Counter[tuple[str, str]] = Counter()
        self._sayings: set[asyncio.Task[None]] = set()

    async def admit(self, caller: Caller, *, asks: bool) -> Admission:
        """Count a request in.

        Args:
            caller: whose limits hold.
            asks: whether it asks for an answer, and not just for what is known.

        Raises:
            ApiError: 429, with what is used up and when to come again.
        """
        admission = Admission(caller)
        if not caller.limits.any:
            return admission
        try:
            if not await self._count_together(admission, asks=asks):
                self._count_alone(admission, asks=asks)
            admission.spent = self._spent(caller.id)
            await self._check(admission, asks=asks)
        except BaseException:
            self.release(admission, 0)
            raise
        return admission

    def release(self, admission: Admission, tokens: int) -> None:
        """Count a request out, with the tokens that its answer took; waits for nothing."""
        key = admission.caller.id
        self._local.free_slot(key, admission.lease)
        self._give_back(admission)
        if tokens and admission.caller.limits.tokens_per_day:
            self._unsaid[key, _today()] += tokens
            self._say_tokens()

    async def _count_together(self, admission: Admission, *, asks: bool) -> bool:
        """Ask the shared store; False if this process has to count alone."""
        if self._shared is None or not self._may_try():
            return False
        try:
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                has_slot = await self._ask_shared(self._shared, admission, asks=asks)
        except (TwinError, TimeoutError) as error:
            self._note_away(str(error) or "it takes too long")
            self._give_back(admission)
            return False
        self._note_back()
        if not has_slot:
            admission.taken = None
            await self.settle(admission)
            raise _too_many_at_once(admission)
        if admission.taken:
            # Known here too, should the store go away meanwhile.
            self._local.take_slot(admission.caller.id, None, admission.lease)
        return True

    async def _ask_shared(self, shared: CallerCounts, admission: Admission, *, asks: bool) -> bool:
        """All that the caller's limits need, at once; whether there is room for an answer."""
        key, limits = admission.caller.id, admission.caller.limits
        hit = spent = None
        if limits.requests_per_minute:
            hit = self._pool.submit(shared.hit, key, limits.requests_per_minute)
        if asks and limits.tokens_per_day and self._is_old(key):
            spent = self._pool.submit(shared.spent, key, _today())
        if asks and limits.concurrent_requests:
            admission.taken = self._pool.submit(
                shared.take_slot, key, limits.concurrent_requests, admission.lease
            )
        if hit and limits.requests_per_minute:
            admission.granted = await asyncio.wrap_future(hit)
            admission.looked = self._pool.submit(shared.window, key, limits.requests_per_minute)
        if spent:
            self._keep_seen(key, await asyncio.wrap_future(spent))
        return await asyncio.wrap_future(admission.taken) if admission.taken else True

    def _count_alone(self, admission: Admission, *, asks: bool) -> None:
        key, limits = admission.caller.id, admission.caller.limits
        admission.looked = None
        if limits.requests_per_minute:
            admission.granted = self._local.hit(key, limits.requests_per_minute)
            admission.window = self._local.window(key, limits.requests_per_minute)
        if not asks or not limits.concurrent_requests:
            return
        if not self._local.take_slot(key, limits.concurrent_requests, admission.lease):
            raise _too_many_at_once(admission)

    async def settle(self, admission: Admission) -> None:
        """Wait until what its caller is told is known; not for long, since it is only told."""
        looked, admission.looked = admission.looked, None
        if looked is None:
            return
        with contextlib.suppress(TwinError, TimeoutError):
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                admission.window = await asyncio.wrap_future(looked)

    async def _check(self, admission: Admission, *, asks: bool) -> None:
        """Refuse what is used up.

        Raises:
            ApiError: 429.
        """
        limits = admission.caller.limits
        used_up = asks and limits.tokens_per_day and admission.spent >= limits.tokens_per_day
        if admission.granted and not used_up:
            return
        await self.settle(admission)
        raise _out_of_tokens(admission) if admission.granted else _out_of_requests(admission)

    def _is_old(self, key: str) -> bool:
        """Whether what is known of a key's tokens is to be asked for again."""
        known = self._seen.get((key, _today()))
        return known is None or self._clock() - known.at > SECONDS_KNOWN

    def _keep_seen(self, key: str, tokens: int) -> None:
        today = _today()
        for old in [one for one in self._seen if one[1] != today]:
            del self._seen[old]
        self._seen[key, today] = Seen(tokens, self._clock())

    def _spent(self, key: str) -> int:
        """The day's tokens, as far as this process knows."""
        known = self._seen.get((key, _today()))
        return (known.tokens if known else 0) + self._unsaid[key, _today()]

    def _give_back(self, admission: Admission) -> None:
        """End a lease in the shared store, after it was taken, which may be still under way."""
        taken, key, lease = admission.taken, admission.caller.id, admission.lease
        admission.taken = None
        if taken is not None:
            taken.add_done_callback(lambda _: self._pool.submit(self._free_slot, key, lease))

    def _free_slot(self, key: str, lease: str) -> None:
        if self._shared is not None and not self._away:
            # A lease that can't be given back now ends by itself; the next request tells of it.
            with contextlib.suppress(TwinError):
                self._shared.free_slot(key, lease)

    def _say_tokens(self) -> None:
        """Tell the shared store, in the background."""
        if self._shared is None or self._away:
            return
        for key, day in list(self._unsaid):
            task = asyncio.get_running_loop().create_task(self._say(key, day))
            self._sayings.add(task)
            task.add_done_callback(self._sayings.discard)

    async def _say(self, key: str, day: str) -> None:
        tokens, began = self._unsaid.pop((key, day), 0), self._clock()
        if not tokens or self._shared is None:
            return
        try:
            await asyncio.wrap_future(self._pool.submit(self._shared.spend, key, day, tokens))
        except TwinError as error:
            self._unsaid[key, day] += tokens
            self._note_away(str(error))
        else:
            known = self._seen.get((key, day))
            if known and known.at < began:  # else these may be among them
                known.tokens += tokens

    def _may_try(self) -> bool:
        """Whether the shared store is asked: always while it answers, else by one now and then."""
        if not self._away:
            return True
        now = self._clock()
        if now < self._next_try:
            return False
        self._next_try = now + SECONDS_BETWEEN_TRIES
        return True

    def _note_away(self, reason: str) -> None:
        if not self._away:
            log.warning("each replica limits callers by itself", reason=reason)
        self._away = True
        self._next_try = self._clock() + SECONDS_BETWEEN_TRIES

    def _note_back(self) -> None:
        if not self._away:
            return
        log.info("replicas limit callers together again")
        self._away = False
        self._say_tokens()


def _out_of_requests(admission: Admission) -> ApiError:
    return _refusal(
        f"this key may send {admission.caller.limits.requests_per_minute:,} requests a minute",
        code="rate_limit_exceeded",
        kind="requests",
        seconds=admission.window.reset_seconds if admission.window else RETRY_SECONDS,
        admission=admission,
    )


def _out_of_tokens(admission: Admission) -> ApiError:
    return _refusal(
        f"this key may use {admission.caller.limits.tokens_per_day:,} tokens a day, and has used "
        f"{admission.spent:,}: the next day begins at 00:00 UTC",
        code="insufficient_quota",
        kind="insufficient_quota",
        seconds=_seconds_to_midnight(),
        admission=admission,
    )


def _too_many_at_once(admission: Admission) -> ApiError:
    at_once = admission.caller.limits.concurrent_requests
    return _refusal(
        f"this key may have {at_once} answers written at the same time",
        code="rate_limit_exceeded",
        kind="requests",
        seconds=RETRY_SECONDS,
        admission=admission,
    )


def _refusal(
    message: str, *, code: str, kind: str, seconds: float, admission: Admission
) -> ApiError:
    headers = {"Retry-After": str(max(1, math.ceil(seconds))), **admission.headers()}
    return ApiError(429, message, code=code, kind=kind, headers=headers)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _seconds_to_midnight() -> int:
    now = datetime.now(UTC)
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
    return math.ceil((midnight - now).total_seconds())
