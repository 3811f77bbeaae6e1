"""What a crawl leaves of a page besides its document: raw bytes, and what was learnt of it."""

from datetime import datetime
from typing import TYPE_CHECKING

from twin.crawl.known_pages import KnownPages, validators
from twin.crawl.page import Exchange, Page
from twin.domain.crawl import FetchedPage, page_id

if TYPE_CHECKING:
    from twin.crawl.recorder import Recording


class PageRecords:
    """Safe to share between threads. Methods raise `TwinError` if the warehouse is away.

    Args:
        recorder: keeps the raw pages; None if nobody does.
        rules: see `twin.crawl.rules`.
    """

    def __init__(
        self,
        pages: KnownPages,
        recorder: "Recording | None",
        author_id: str,
        source: str,
        rules: str,
    ) -> None:
        self._pages = pages
        self._recorder = recorder
        self._author = author_id
        self._source = source
        self._rules = rules

    def keep(
        self,
        page: Page,
        body_digest: str,
        outcome: str,
        reason: str,
        document: str | None = None,
        *,
        raw: bool,
        settled: bool = True,
        expires: datetime | None = None,
    ) -> None:
        """Keep what became of a page, and its bytes, if they may be kept.

        Args:
            expires: see `FetchedPage`.
            settled: that is the last word; else the next crawl needs the whole page again.
        """
        snapshot, captured = None, None
        if self._recorder and raw:
            before = self._pages.get(page.url)
            snapshot, captured = self._recorder.record(page, body_digest, before)
        found = FetchedPage(
            id=page_id(self._author, self._source, page.url),
            author_id=self._author,
            source=self._source,
            url=page.url,
            fetched=page.fetched,
            status=page.exchange.status if page.exchange else None,
            body_digest=body_digest,
            reader=self._rules,
            outcome=outcome,
            reason=reason,
            document_id=document,
            links=page.links,
            snapshot=snapshot,
            captured=captured,
            expires=expires,
            **validators(page.exchange),
        )
        # A reservation is in headers, which may change where the page does not.
        if page.reserved or not settled:
            news = {"etag": None, "last_modified": None, "reader": ""}
            found = found.model_copy(update=news)
        self._pages.save(found)

    def keep_unchanged(self, known: FetchedPage, exchange: Exchange, when: datetime) -> None:
        """Keep that the server called a page unchanged (304)."""
        if self._recorder:
            self._recorder.unchanged(known.url, exchange, known, when)
        said = {"etag": exchange.header("ETag"), "last_modified": exchange.header("Last-Modified")}
        news = {key: value for key, value in said.items() if value}
        asked = {"fetched": when, "status": exchange.status, "links": None}
        self._pages.save(known.model_copy(update={**asked, **news}))
