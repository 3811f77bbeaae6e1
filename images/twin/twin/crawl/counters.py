"""Counting what becomes of the pages of one source, in the source's tally and the job's counts."""

import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from twin.crawl.tally import Failures, Tally
from twin.domain.crawl import Change
from twin.job import Job


class Counters:
    """Safe to share between threads.

    Attributes:
        advance: told of each page, for the progress bar.
        seen: ids of documents that the crawl has come across; each is counted once.
    """

    #: Documents of one note in the warehouse: its embedded server compares each record with all.
    STANDING_PER_NOTE = 25

    def __init__(self, job: Job) -> None:
        self._job = job
        self._lock = threading.Lock()
        self.advance: Callable[[int], None] = lambda _: None
        self.tally = Tally()
        self.failures = Failures()
        self.seen: set[str] = set()
        self._standing: set[str] = set()

    def stored(self, identity: str, change: Change, *, by_guest: bool) -> None:
        """Count a document, unless it was counted by another address."""
        with self._lock:
            if identity in self.seen:
                return
            self.seen.add(identity)
            self._job.counts.read += 1
            if change is not Change.ADDED:
                self._standing.add(identity)
            if change is Change.UNCHANGED:
                self._job.counts.skipped += 1
            else:
                self._job.counts.written += 1
            setattr(self.tally, change.value, getattr(self.tally, change.value) + 1)
            self.tally.guests += by_guest
        self.advance(1)

    def standing(self, at_least: int = STANDING_PER_NOTE) -> set[str]:
        """Ids of documents that are not new, if there are as many; each is given out once."""
        with self._lock:
            if len(self._standing) < at_least:
                return set()
            standing, self._standing = self._standing, set()
            return standing

    def skipped(self) -> None:
        """Count a page that is rightly no document."""
        with self._lock:
            self.tally.skipped += 1
            self._job.counts.read += 1
            self._job.counts.skipped += 1
        self.advance(1)

    def skipped_draft(self, url: str, reason: str) -> None:
        """Count a page that its site does not publish, and name it in the job's result."""
        with self._lock:
            self.tally.skipped += 1
            self.tally.drafts += 1
            self._job.counts.read += 1
            self._job.skip_item(url, reason)
        self.advance(1)

    def dead_link(self, url: str, reason: str) -> None:
        """Count a link that leads nowhere, and name it in the job's result."""
        with self._lock:
            self.tally.skipped += 1
            self.tally.dead_links += 1
            self._job.counts.read += 1
            self._job.skip_item(url, reason)
        self.advance(1)

    def failed(self, url: str, reason: str, transient: bool) -> None:
        """Count a page or file that could not be had or used."""
        with self._lock:
            self.tally.failed += 1
            self.failures.add(reason, transient)
            self._job.counts.read += 1
            self._job.fail_item(url, reason)
        self.advance(1)

    def buried(self, identity: str) -> None:
        """Count a document that is gone."""
        with self._lock:
            self.seen.discard(identity)
            self._standing.discard(identity)
            self.tally.gone += 1
            self._job.counts.written += 1

    def state(self) -> dict[str, Any]:
        """What a later process of this crawl needs to count on, as JSON values."""
        return {
            "seen": sorted(self.seen),
            "standing": sorted(self._standing),
            "tally": asdict(self.tally),
            # Not by `asdict`, which makes a Counter of pairs of a Counter.
            "failures": {
                "transient": self.failures.transient,
                "reasons": dict(self.failures.reasons),
            },
        }

    def go_on(self, state: dict[str, Any]) -> None:
        """Count what an earlier process of this crawl has counted."""
        self.seen.update(state["seen"])
        self._standing.update(state["standing"])
        for name, number in state["tally"].items():
            setattr(self.tally, name, getattr(self.tally, name) + number)
        self.failures.transient += state["failures"]["transient"]
        self.failures.reasons.update(state["failures"]["reasons"])
        before, counts = Tally(**state["tally"]), self._job.counts
        counts.read += before.documents + before.skipped + before.failed
        counts.written += before.written + before.gone
        counts.skipped += before.unchanged + before.skipped
        counts.failed += before.failed
