"""What earlier crawls know of a source's pages: so that this one asks only for what is new."""

import marshal
import threading
import uuid
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from twin.crawl.page import Exchange
from twin.crawl.tally import Outcome
from twin.domain.crawl import FetchedPage, page_id

if TYPE_CHECKING:
    from twin.stores.crawl_pages import CrawlPages

#: Records are written in portions: one lost in a kill costs one full answer at the next crawl.
PAGES_PER_WRITE = 100
#: A page with more links is asked for without conditions, rather than stored with them all.
MAX_LINKS = 2_000
MAX_VALIDATOR_CHARACTERS = 512
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class KnownPages:
    """The fetched pages of one source. Safe to share between threads.

    Args:
        reader: the readers and rules of now; what others made of a page does not count.
        snapshots: files that hold raw pages; None if no snapshots are kept.
        full: nothing is known.
        before_write: stores what else is known of pages. It comes before them: after a kill, a
            known page is not read again.
    """

    def __init__(
        self,
        store: "CrawlPages",
        author_id: str,
        source: str,
        reader: str,
        snapshots: frozenset[str] | None,
        *,
        full: bool = False,
        before_write: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._before_write = before_write
        self._author = author_id
        self._source = source
        self._reader = reader
        self._snapshots = snapshots
        self._full = full
        self._shared: dict[str, int] = {}
        self._rows = {page.url: self._row(page) for page in store.pages(author_id, source)}
        self._new: set[str] = set()
        self._news: list[FetchedPage] = []
        self._still: list[FetchedPage] = []
        self._lock = threading.Lock()

    def get(self, url: str) -> FetchedPage | None:
        """What is known of a URL, whoever read it."""
        row = self._rows.get(url)
        return None if row is None else self._page(url, row)

    def _row(self, page: FetchedPage) -> bytes:
        """What a page is remembered as: a third of its size, of which a site may have many."""
        return marshal.dumps(
            (
                _packed_id(page.document_id),
                _milliseconds(page.fetched),
                None if page.captured is None else _milliseconds(page.captured),
                page.status,
                page.etag,
                page.last_modified,
                packed_digest(page.body_digest),
                page.reason,
                page.links is not None,
                None if page.expires is None else _milliseconds(page.expires),
                # Texts that many pages have in common.
                self._number(page.reader),
                self._number(page.outcome),
                None if page.snapshot is None else self._number(page.snapshot),
            )
        )

    def _number(self, text: str) -> int:
        """What a text is remembered as, from 1. To be called by one thread at a time."""
        return self._shared.setdefault(text, len(self._shared) + 1)

    def _page(self, url: str, row: bytes) -> FetchedPage:
        shared = ["", *self._shared]
        (
            document, fetched, captured, status, etag, last_modified, digest, reason, has_links,
            expires, reader, outcome, snapshot,
        ) = marshal.loads(row)  # noqa: S302 - written by `_row`  # fmt: skip
        return FetchedPage.model_construct(
            id=page_id(self._author, self._source, url),
            author_id=self._author,
            source=self._source,
            url=url,
            fetched=_moment(fetched),
            status=status,
            etag=etag,
            last_modified=last_modified,
            body_digest=digest.hex() if isinstance(digest, bytes) else digest,
            reader=shared[reader],
            outcome=shared[outcome],
            reason=reason,
            document_id=_unpacked_id(document),
            links=() if has_links else None,
            snapshot=None if snapshot is None else shared[snapshot],
            captured=None if captured is None else _moment(captured),
            expires=None if expires is None else _moment(expires),
        )

    def current(self, url: str, body_digest: str | None = None) -> FetchedPage | None:
        """What is known of a URL, if it is still what we would make of it (and of these bytes)."""
        page = self.get(url)
        if page is None or self._full or page.reader != self._reader:
            return None
        if page.outcome == Outcome.FAILED:
            return None
        return page if body_digest in {None, page.body_digest} else None

    def conditions(self, url: str, *, links: bool) -> dict[str, str]:
        """Request headers that make the server answer 304 if the page is as it was (RFC 9110).

        Empty if we need the page itself: nothing is known of it, other readers have read it, its
        raw snapshot is lost, or its ``links`` are needed and not known.
        """
        page = self.current(url)
        if page is None or (links and page.links is None) or not self._has_snapshot(page):
            return {}
        headers = {"If-None-Match": page.etag, "If-Modified-Since": page.last_modified}
        return {name: value for name, value in headers.items() if value}

    def _has_snapshot(self, page: FetchedPage) -> bool:
        if self._snapshots is None:
            return True
        was_passed_by = page.outcome == Outcome.SKIPPED and page.snapshot is None
        return was_passed_by or page.snapshot in self._snapshots

    def links(self, url: str) -> tuple[str, ...]:
        """Where a page led when it was last read."""
        return self._store.links(page_id(self._author, self._source, url)) or ()

    def urls_of_documents(self, besides: Collection[str] = frozenset()) -> Mapping[str, list[str]]:
        """Document id to the URLs of the pages that became it, of all documents but some."""
        urls: dict[str, list[str]] = {}
        for url, row in self._rows.items():
            document = _unpacked_id(marshal.loads(row)[0])  # noqa: S302 - written by `_row`
            if document is not None and document not in besides:
                urls.setdefault(document, []).append(url)
        return urls

    def save(self, page: FetchedPage) -> None:
        """Note what has been learnt of a page.

        Raises:
            TwinError: the warehouse is away.
        """
        if page.links is not None and len(page.links) > MAX_LINKS:
            page = page.model_copy(update={"links": None, "etag": None, "last_modified": None})
        with self._lock:
            before = self.get(page.url)
            if before is None:
                self._new.add(page.url)
            is_news = before is None or page.links is not None or not _is_still(before, page)
            (self._news if is_news else self._still).append(page)
            links = () if page.links is not None else before and before.links
            # Memory holds no links, but whether there are some.
            self._rows[page.url] = self._row(page.model_copy(update={"links": links}))
            if len(self._news) + len(self._still) < PAGES_PER_WRITE:
                return
        self.flush()

    def flush(self) -> None:
        """Store what has not been.

        Raises:
            TwinError: the warehouse is away.
        """
        with self._lock:
            news, self._news = self._news, []
            still, self._still = self._still, []
            known = {page.id for page in news if page.url not in self._new}
            self._new = set()
        self._before_write()
        self._store.save(news, known)
        for status in {page.status for page in still}:
            same = [page for page in still if page.status == status]
            # The first of them: a replay holds what was captured before for outdated.
            first = min(page.fetched for page in same)
            self._store.still([page.id for page in same], status, first)


def _packed_id(identity: str | None) -> bytes | str | None:
    """Half as long, if it is a UUID as we write it."""
    try:
        packed = uuid.UUID(identity or "")
    except ValueError:
        return identity
    return packed.bytes if str(packed) == identity else identity


def _unpacked_id(packed: bytes | str | None) -> str | None:
    return str(uuid.UUID(bytes=packed)) if isinstance(packed, bytes) else packed


def packed_digest(digest: str) -> bytes | str:
    """Half as long, if it is one in hexadecimal digits."""
    try:
        packed = bytes.fromhex(digest)
    except ValueError:
        return digest
    return packed if packed.hex() == digest else digest


def _milliseconds(when: datetime) -> int:
    return (when - _EPOCH) // _MILLISECOND


def _moment(milliseconds: int) -> datetime:
    return _EPOCH + milliseconds * _MILLISECOND


def _is_still(before: FetchedPage, page: FetchedPage) -> bool:
    """Whether all that is new of a page is that it was asked for again."""
    asked = {"fetched": page.fetched, "status": page.status, "links": page.links}
    return before.model_copy(update=asked) == page


def validators(exchange: Exchange | None) -> dict[str, str | None]:
    """Those of a full answer, as `FetchedPage` has them."""
    if exchange is None:
        return {}
    return {
        "etag": _validator(exchange.header("ETag")),
        "last_modified": _validator(exchange.header("Last-Modified")),
    }


def _validator(value: str | None) -> str | None:
    return value if value and len(value) <= MAX_VALIDATOR_CHARACTERS else None
