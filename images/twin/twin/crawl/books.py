"""The books of one crawl of one source: what it changed, what it found gone, how it ended."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from twin.crawl.absences import Absences
from twin.crawl.known_pages import KnownPages
from twin.crawl.page import now
from twin.crawl.tally import Tally
from twin.domain.crawl import Change, CrawlRecord, CrawlStatus, DocumentChange, change_id, crawl_id
from twin.domain.document import STANDING, DocumentStatus
from twin.domain.errors import TwinError
from twin.job import Job
from twin.recipes import Source
from twin.stores.crawl_pages import CrawlPages
from twin.stores.warehouse import Warehouse
from twin.stores.warehouse_documents import Noted


class Books:
    """See the module. Every method raises `TwinError` if the warehouse is away.

    Attributes:
        id: of the crawl.
        started: when it began; a run that is tried again goes on with the crawl that was killed.
        has_news: once closed, whether the source's documents differ from when a crawl of it last
            ended well. Not the same as having written something now: a crawl that was killed
            after its last write has told nobody, and the one that runs after it writes nothing.
    """

    def __init__(self, job: Job, warehouse: Warehouse, source: Source) -> None:
        self._job = job
        self._warehouse = warehouse
        self._author = job.recipe.author
        self._source = source.name
        self.store = CrawlPages(warehouse)
        self.id = crawl_id(job.run_id, source.name)
        self._previous = warehouse.last_crawl(job.recipe.name, source.name)
        before = warehouse.crawl(self.id)
        killed = before is not None and before.status is CrawlStatus.RUNNING
        self.started = before.started if before and killed else now()
        self.has_news = False
        warehouse.save_crawl(self._record(CrawlStatus.RUNNING, Tally()))

    def note(self, changes: Sequence[Noted]) -> None:
        """Note what happens to documents that were read."""
        self.store.note([self._change(one, one.document.last_changed) for one in changes])

    def _change(self, noted: Noted, when: datetime) -> DocumentChange:
        document = noted.document
        return DocumentChange(
            id=change_id(self.id, document.id),
            crawl_id=self.id,
            author_id=self._author.id,
            source=self._source,
            document_id=document.id,
            kind=noted.change,
            title=document.title,
            url=document.url,
            before=noted.before,
            after=None if noted.change is Change.GONE else document.revision,
            at=when,
        )

    def bury(self, gone: Mapping[str, datetime]) -> set[str]:
        """Mark documents as gone, each at its time; their texts and history stay.

        Returns:
            Ids of those that stood.
        """
        standing = self._warehouse.standing_of(gone)
        self.store.note(
            [self._change(Noted(one, Change.GONE, one.revision), gone[one.id]) for one in standing]
        )
        buried = {one.id for one in standing}
        self.store.bury(buried)
        return buried

    def unseen(
        self, seen: Collection[str], pages: KnownPages, states: Collection[DocumentStatus]
    ) -> dict[str, list[str]]:
        """Document id to the URLs it was found at, of the source's documents not in ``seen``."""
        urls = pages.urls_of_documents(seen)
        unseen = {
            identity: state
            for identity, state in self.store.standing(self._author.id, self._source)
            if identity not in seen
        }
        unseen |= self.store.guests(self._source, urls.keys() - unseen.keys(), self._author.id)
        return {
            identity: urls.get(identity) or [url]
            for identity, (url, status) in unseen.items()
            if status in states
        }

    def guests(self, pages: KnownPages) -> set[str]:
        """Ids of documents of other writers that the source's pages became."""
        own = {identity for identity, _ in self.store.standing(self._author.id, self._source)}
        ids = pages.urls_of_documents(own).keys()
        return set(self.store.guests(self._source, ids, self._author.id))

    def absent(self, absences: Absences, seen: Collection[str], pages: KnownPages) -> list[str]:
        """Ids of documents that are gone now, those missed once too often included."""
        if absences.cut_short:
            return []
        unseen = self.unseen(seen, pages, STANDING)
        gone, missing = absences.missed(unseen)
        misses = self.store.missed(missing, self.id)
        return sorted(gone | {one for one, count in misses.items() if count >= absences.after})

    def close(self, tally: Tally, error: TwinError | None) -> None:
        """Record how the crawl ended."""
        status = CrawlStatus.DONE if error is None else CrawlStatus.FAILED
        fingerprint = self._warehouse.source_fingerprint(self._author.id, self._source)
        self.has_news = self._previous is None or self._previous.fingerprint != fingerprint
        record = self._record(status, tally, str(error or ""))
        self._warehouse.save_crawl(
            record.model_copy(update={"finished": now(), "fingerprint": fingerprint})
        )
        self.store.trim_changes(self._author.id, self._source)

    def _record(self, status: CrawlStatus, tally: Tally, message: str = "") -> CrawlRecord:
        return CrawlRecord(
            id=self.id,
            run_id=self._job.run_id,
            recipe=self._job.recipe.name,
            author_id=self._author.id,
            source=self._source,
            started=self.started,
            status=status,
            counts=asdict(tally),
            message=message,
        )
