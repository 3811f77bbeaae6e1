"""Raw snapshots of a crawl: every page that a source hands over passes through here."""

import json
import threading
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, Protocol

from twin.crawl.page import Exchange, Page
from twin.crawl.workspace import Workspace, run_slug
from twin.domain.crawl import FetchedPage
from twin.stores.snapshots import MAX_FILE_BYTES, SUFFIX, Snapshots
from twin.stores.warc import CRAWL_SCHEME, Capture, SnapshotFile

#: What a snapshot has of a page by other names, or a crawl finds out afresh.
_NOT_FACTS = frozenset({"url", "body", "fetched", "exchange", "links"})
_FACTS = tuple(one.name for one in fields(Page) if one.name not in _NOT_FACTS)


class Recording(Protocol):
    """Where an intake's raw pages go."""

    @property
    def names(self) -> frozenset[str]:
        """Files that hold pages."""

    def record(
        self, page: Page, body_digest: str, known: FetchedPage | None
    ) -> tuple[str, datetime]:
        """Keep a page; returns the file that has its body, and when that was captured."""

    def unchanged(self, url: str, exchange: Exchange, known: FetchedPage, when: datetime) -> None:
        """Keep that the server called a page unchanged (304)."""

    def conclude(self, crawl: str, when: datetime, note: Mapping[str, Any]) -> None:
        """Keep what the crawl found out that is on no page, as which documents are gone."""


class Recorder:
    """Writes the snapshots of one source and crawl. Safe to share between threads.

    A page whose bytes are in an earlier snapshot is noted as a *revisit* of that.

    Args:
        max_file_bytes: a file that has grown larger goes to the store, and another is begun.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        workspace: Workspace,
        source: str,
        run_id: str,
        max_file_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        self._snapshots = snapshots
        self._folder = workspace.snapshots
        self._source = source
        self._run_id = run_id
        self._max_bytes = max_file_bytes
        self._file: SnapshotFile | None = None
        self._lock = threading.Lock()
        self._names = set(snapshots.names(source))

    @property
    def names(self) -> frozenset[str]:
        """Files that hold pages: those in the store and the one that grows."""
        return frozenset(self._names)

    def record(
        self, page: Page, body_digest: str, known: FetchedPage | None
    ) -> tuple[str, datetime]:
        """Write a page, or that it is as it was.

        Returns:
            The file that has the page's body, and when that was captured.
        """
        same = self._same(known, body_digest)
        name = self._add(_capture(page, _facts(page), same and same[1]), page.fetched)
        return same or (name, page.fetched)

    def _same(self, known: FetchedPage | None, body_digest: str) -> tuple[str, datetime] | None:
        if known is None or known.snapshot is None or known.captured is None:
            return None
        if known.body_digest != body_digest or known.snapshot not in self._names:
            return None
        return known.snapshot, known.captured

    def unchanged(self, url: str, exchange: Exchange, known: FetchedPage, when: datetime) -> None:
        """Write that the server called a page unchanged (304)."""
        if known.captured is not None:
            page = Page(url=url, body=b"", media_type="", fetched=when, exchange=exchange)
            self._add(_capture(page, {}, known.captured), when)

    def conclude(self, crawl: str, when: datetime, note: Mapping[str, Any]) -> None:
        """Write what the crawl found out that is on no page, as which documents are gone."""
        body = json.dumps(note).encode()
        capture = Capture(f"{CRAWL_SCHEME}{crawl}", when, body, media_type="application/json")
        self._add(capture, when)

    def _add(self, capture: Capture, when: datetime) -> str:
        with self._lock:
            if self._file is not None and self._file.size >= self._max_bytes:
                self._publish()
            if self._file is None:
                self._file = self._begin(when)
            self._file.add(capture)
            return self._file.path.name

    def _begin(self, when: datetime) -> SnapshotFile:
        """A file whose name sorts behind all that were written before."""
        moment = f"{when:%Y%m%dT%H%M%S}{when.microsecond // 1000:03d}Z"
        stem = f"{moment}-{run_slug(self._run_id)}"
        number = 0
        while (name := f"{stem}-{number:04d}{SUFFIX}") in self._names:
            number += 1
        file = SnapshotFile(self._folder / name, f"{self._source} {self._run_id}")
        self._names.add(name)
        return file

    def _publish(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.close()
            self._snapshots.publish(self._source, file.path, file.index, file.size)

    def close(self) -> None:
        """Bring what is written to the store.

        Raises:
            TwinError: the store refuses; the file stays for the next crawl to bring.
        """
        with self._lock:
            self._publish()


def _facts(page: Page) -> dict[str, Any]:
    return {name: getattr(page, name) for name in _FACTS}


def _capture(page: Page, facts: dict[str, Any], unchanged_since: datetime | None) -> Capture:
    exchange = page.exchange
    return Capture(
        url=page.url,
        fetched=page.fetched,
        body=page.body,
        media_type=page.media_type or "application/octet-stream",
        facts=facts,
        status=exchange.status if exchange else None,
        request_headers=exchange.request_headers if exchange else (),
        response_headers=exchange.response_headers if exchange else (),
        unchanged_since=unchanged_since,
    )


def page_of(capture: Capture, facts: Mapping[str, Any], body: bytes) -> Page:
    """The page that a snapshot was made of.

    Args:
        facts: of the snapshot that has the body; those that pages no longer have are left out.
    """
    known = {key: value for key, value in facts.items() if key in Page.__dataclass_fields__}
    exchange = None
    if capture.status is not None:
        exchange = Exchange(capture.status, (), capture.response_headers)
    return Page(
        **{"media_type": capture.media_type, **known},
        url=capture.url,
        body=body,
        fetched=capture.fetched,
        exchange=exchange,
    )
