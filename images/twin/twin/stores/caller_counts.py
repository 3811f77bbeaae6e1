"""What callers have asked lately: requests, tokens, answers under way.

By the library `limits`, in the warehouse's database, so that all replicas of the router count
together. Of the library's strategies the two that servers of MongoDB's protocol agree on: a moving
window for requests, and one counter a day for tokens. Answers under way are leases in one record a
key, which end by themselves should a replica be killed.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from limits import RateLimitItemPerDay, RateLimitItemPerMinute
from limits.storage import MemoryStorage, MongoDBStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter

from twin.domain.errors import TryAgainError
from twin.settings import Settings

if TYPE_CHECKING:
    from pymongo.collection import Collection

#: What a lease lasts at most; the answer goes on after it, and counts no more.
LEASE_SECONDS = 300
#: A store that does not answer within this is away: a caller waits for it.
TIMEOUT_MILLISECONDS = 500

#: The library's counters want a limit; what is spent is compared elsewhere.
_ANY_NUMBER = RateLimitItemPerDay(10**15)
_NAMESPACE = "keys"


@dataclass(frozen=True)
class Window:
    """What is left of a minute's requests.

    Attributes:
        reset_seconds: until the oldest of them counts no more.
    """

    remaining: int
    reset_seconds: float


class CallerCounts(Protocol):
    """Counts by key that replicas share. Every method raises `TryAgainError` if they are away."""

    def hit(self, key: str, per_minute: int) -> bool:
        """Count a request; False if the minute's are used up."""

    def window(self, key: str, per_minute: int) -> Window:
        """What is left of the minute's requests."""

    def spent(self, key: str, day: str) -> int:
        """Tokens of a day."""

    def spend(self, key: str, day: str, tokens: int) -> None:
        """Count tokens."""

    def take_slot(self, key: str, limit: int, lease: str) -> bool:
        """Begin an answer; False if as many as the limit are under way."""

    def free_slot(self, key: str, lease: str) -> None:
        """End it."""


class LocalCounts:
    """Counts of this process alone, by key. Its methods wait for nothing."""

    def __init__(self) -> None:
        self._windows = MovingWindowRateLimiter(MemoryStorage())
        self._leases: dict[str, set[str]] = defaultdict(set)

    def hit(self, key: str, per_minute: int) -> bool:
        """Count a request; False if the minute's are used up."""
        return self._windows.hit(RateLimitItemPerMinute(per_minute), _NAMESPACE, key)

    def window(self, key: str, per_minute: int) -> Window:
        """What is left of the minute's requests."""
        return _window(self._windows, key, per_minute)

    def take_slot(self, key: str, limit: int | None, lease: str) -> bool:
        """Begin an answer; False if as many as the limit are under way."""
        if limit is not None and len(self._leases[key]) >= limit:
            return False
        self._leases[key].add(lease)
        return True

    def free_slot(self, key: str, lease: str) -> None:
        """End it."""
        self._leases[key].discard(lease)
        if not self._leases[key]:
            del self._leases[key]


class SharedCounts:
    """Counts in the warehouse's database. Its methods block: call them from a thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._storage: MongoDBStorage | None = None

    def hit(self, key: str, per_minute: int) -> bool:
        """See `CallerCounts`."""
        with _away_told():
            limiter = MovingWindowRateLimiter(self._opened())
            return limiter.hit(RateLimitItemPerMinute(per_minute), _NAMESPACE, key)

    def window(self, key: str, per_minute: int) -> Window:
        """See `CallerCounts`."""
        with _away_told():
            return _window(MovingWindowRateLimiter(self._opened()), key, per_minute)

    def spent(self, key: str, day: str) -> int:
        """See `CallerCounts`."""
        with _away_told():
            return int(self._opened().get(_ANY_NUMBER.key_for(_NAMESPACE, key, day)))

    def spend(self, key: str, day: str, tokens: int) -> None:
        """See `CallerCounts`."""
        with _away_told():
            limiter = FixedWindowRateLimiter(self._opened())
            limiter.hit(_ANY_NUMBER, _NAMESPACE, key, day, cost=tokens)

    def take_slot(self, key: str, limit: int, lease: str) -> bool:
        """See `CallerCounts`."""
        with _away_told():
            if self._push(key, limit, lease):
                return True
            over = {"leases": {"until": {"$lt": time.time()}}}
            freed = self._leases().update_one({"_id": key}, {"$pull": over})
            return bool(freed.modified_count) and self._push(key, limit, lease)

    def free_slot(self, key: str, lease: str) -> None:
        """See `CallerCounts`."""
        with _away_told():
            self._leases().update_one({"_id": key}, {"$pull": {"leases": {"id": lease}}})

    def _push(self, key: str, limit: int, lease: str) -> bool:
        from pymongo.errors import DuplicateKeyError

        item = {"id": lease, "until": time.time() + LEASE_SECONDS}
        # A record with so many leases does not match, and a second one of its id can't be made.
        free = {"_id": key, f"leases.{limit - 1}": {"$exists": False}}
        try:
            self._leases().update_one(free, {"$push": {"leases": item}}, upsert=True)
        except DuplicateKeyError:
            return False
        return True

    def _leases(self) -> "Collection[dict[str, Any]]":
        database = self._opened().storage[self._settings.mongo_database]
        collection: Collection[dict[str, Any]] = database["caller_leases"]
        return collection

    def _opened(self) -> MongoDBStorage:
        if self._storage is None:
            milliseconds = TIMEOUT_MILLISECONDS
            storage = MongoDBStorage(
                self._settings.mongo_uri.get_secret_value(),
                database_name=self._settings.mongo_database,
                counter_collection_name="caller_tokens",
                window_collection_name="caller_requests",
                serverSelectionTimeoutMS=milliseconds,
                connectTimeoutMS=milliseconds,
                socketTimeoutMS=milliseconds,
                # Counts of a minute or a day: a crash of the server may lose the last ones.
                journal=False,
                tz_aware=False,  # as the library reads times
            )
            # Connects, and has the server delete what is over. Kept only if that worked.
            _ = storage.storage
            self._storage = storage
        return self._storage


@contextmanager
def _away_told() -> Iterator[None]:
    from pymongo.errors import PyMongoError

    try:
        yield
    except PyMongoError as error:
        # The driver's text may quote the URI.
        raise TryAgainError(f"the warehouse keeps no counts ({type(error).__name__})") from None


def _window(limiter: MovingWindowRateLimiter, key: str, per_minute: int) -> Window:
    stats = limiter.get_window_stats(RateLimitItemPerMinute(per_minute), _NAMESPACE, key)
    return Window(max(0, stats.remaining), max(0.0, stats.reset_time - time.time()))
