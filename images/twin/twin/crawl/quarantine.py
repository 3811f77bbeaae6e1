"""What one crawl of a source sets aside, and what it takes out again."""

import threading
from datetime import UTC, datetime

from twin.domain.crawl import QuarantinedItem, quarantine_id
from twin.stores.warehouse import Warehouse

#: Items are written in portions, and before the pages that they are of (`KnownPages`): one lost in
#: a kill is set aside again by the next crawl, which reads its page again.
ITEMS_PER_WRITE = 100


class Quarantine:
    """The quarantine of one source. Safe to share between threads.

    In portions, because the embedded warehouse remembers every command that writes, and goes
    through all that it remembers with each further one.
    """

    def __init__(self, warehouse: Warehouse, author_id: str, source: str) -> None:
        self._warehouse = warehouse
        self._author = author_id
        self._source = source
        self._known = {item.id for item in warehouse.quarantined(author_id, source)}
        self._held: dict[str, QuarantinedItem] = {}
        self._released: set[str] = set()
        self._lock = threading.Lock()

    def hold(self, url: str, reason: str) -> None:
        """Set a page or file aside; again is an update of the same item.

        Raises:
            TwinError: the warehouse is away.
        """
        now = datetime.now(UTC)
        item = QuarantinedItem(
            id=quarantine_id(self._author, self._source, url), author_id=self._author,
            source=self._source, url=url, reason=reason, first_seen=now, last_seen=now,
        )  # fmt: skip
        with self._lock:
            self._held[item.id] = item
            self._released.discard(item.id)
        self._flush_if_large()

    def release(self, url: str) -> None:
        """Take a page or file out, if it is there: it became a document after all.

        Raises:
            TwinError: the warehouse is away.
        """
        with self._lock:
            if not self._known and not self._held:
                return
            identity = quarantine_id(self._author, self._source, url)
            self._held.pop(identity, None)
            if identity in self._known:
                self._released.add(identity)
        self._flush_if_large()

    def _flush_if_large(self) -> None:
        if len(self._held) + len(self._released) >= ITEMS_PER_WRITE:
            self.flush()

    def flush(self) -> None:
        """Write what has not been written.

        Raises:
            TwinError: the warehouse is away.
        """
        with self._lock:  # to the end, or another thread's newer word could come before ours
            self._warehouse.quarantine_all(list(self._held.values()), self._known)
            self._warehouse.release(self._released)
            self._known |= self._held.keys()
            self._known -= self._released
            self._held, self._released = {}, set()
