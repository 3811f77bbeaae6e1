"""A source that is being crawled: what is known of it, and its pages that are no documents."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from twin.crawl.absences import Absence, Absences, of_status
from twin.crawl.books import Books
from twin.crawl.budget import Budget
from twin.crawl.canonical_claims import CanonicalClaims, Named
from twin.crawl.counters import Counters
from twin.crawl.known_pages import KnownPages
from twin.crawl.page import Page, now
from twin.crawl.page_records import PageRecords
from twin.crawl.quarantine import Quarantine
from twin.crawl.reader_process import ReadAll, read_each
from twin.crawl.rules import rules_of
from twin.crawl.source_documents import SourceDocuments
from twin.crawl.tally import Failures, Outcome, Tally
from twin.crawl.web.dead_links import DeadLinks
from twin.crawl.web.urls import page_key
from twin.domain.errors import TwinError
from twin.job import Job
from twin.recipes import Source
from twin.stores.warehouse import Warehouse

if TYPE_CHECKING:
    from twin.crawl.recorder import Recording
    from twin.crawl.workspace import Workspace


@dataclass
class OpenedSource:
    """One source in one crawl; takes from any thread what is no document.

    Attributes:
        full: read every page again, even if its bytes are those of the stored document.
        read: makes articles of pages, here or in another process; see `ReadAll`.
        recorder: keeps the raw pages.
        workspace: keeps what the crawl needs to go on after it was told to end.
        fatal: what ended the crawl of every source (the warehouse is away); then no page is
            taken any more. A page that breaks its reader fails alone.
        entry_errors: start pages, sitemaps and feeds that could not be read.
        absences: what was not where it was; sources set there whether they list all they have.
        dead_links: pages that are not there, and that only a link spoke of.
        error: once settled, what is wrong with the source as a whole.
    """

    job: Job
    warehouse: Warehouse
    source: Source
    full: bool = False
    read: ReadAll = read_each
    recorder: "Recording | None" = None
    workspace: "Workspace | None" = None
    fatal: BaseException | None = None
    entry_errors: list[TwinError] = field(default_factory=list)
    absences: Absences = field(default_factory=Absences)
    dead_links: DeadLinks = field(default_factory=DeadLinks)
    error: TwinError | None = None

    def __post_init__(self) -> None:
        self._author = self.job.recipe.author.id
        self.rules = rules_of(self.job.recipe, self.source)
        self.budget = Budget(self.job.recipe.crawl)
        self.books = Books(self.job, self.warehouse, self.source)
        self._counters = Counters(self.job)
        self._quarantine = Quarantine(self.warehouse, self._author, self.source.name)
        names = self.recorder.names if self.recorder else None
        self.pages = KnownPages(
            self.books.store, self._author, self.source.name, self.rules, names, full=self.full,
            before_write=self._quarantine.flush,
        )  # fmt: skip
        self._records = PageRecords(
            self.pages, self.recorder, self._author, self.source.name, self.rules
        )
        self._documents = SourceDocuments(
            self.job, self.warehouse, self.source, self.books, self.pages,
            rules=self.rules, full=self.full,
        )  # fmt: skip
        self.claims = CanonicalClaims(
            Named(self.pages, self._documents.name, self._author, self.books.started,
                  self._counters.seen),
            self.warehouse,
        )  # fmt: skip
        self._ends: dict[str, datetime] = {}
        self._expired: list[str] = []

    @property
    def tally(self) -> Tally:
        """Pages by what became of them."""
        return self._counters.tally

    @property
    def failures(self) -> Failures:
        """Why pages failed."""
        return self._counters.failures

    @property
    def advance(self) -> Callable[[int], None]:
        """Told of each page, for the progress bar."""
        return self._counters.advance

    @advance.setter
    def advance(self, told: Callable[[int], None]) -> None:
        self._counters.advance = told

    # Pages that are no documents

    def skip(self, reason: str) -> tuple[Outcome, str]:
        """Note a page that is rightly no document."""
        self._counters.skipped()
        return Outcome.SKIPPED, reason

    def _skip_draft(self, url: str, reason: str) -> tuple[Outcome, str]:
        self._counters.skipped_draft(url, reason)
        return Outcome.SKIPPED, reason

    def refuse(self, url: str, reason: str) -> tuple[Outcome, str]:
        """Note a page that is rightly no document, but may be missed: it is set aside.

        Raises:
            TwinError: the warehouse is away.
        """
        self.absences.note(url, Absence.UNKNOWN)
        self._hold(url, reason)
        return self.skip(reason)

    def _refuse(self, page: Page, reason: str) -> tuple[Outcome, str]:
        if page.expected:
            return self._fail(page.url, reason)
        return self.refuse(page.url, reason)

    def fail(
        self, url: str, reason: str, *, transient: bool = False, status: int | None = None
    ) -> tuple[Outcome, str]:
        """Note a page or file that could not be had or used, and quarantine it.

        Args:
            transient: it may be another time.
            status: what a server answered instead of the page.

        Raises:
            TwinError: the warehouse is away.
        """
        self.absences.note(url, of_status(status))
        if transient:
            self.claims.named.lost.add(page_key(url))
        known = self.pages.get(url)
        if known is not None:
            changed = {"outcome": Outcome.FAILED.value, "reason": reason, "status": status}
            self.pages.save(known.model_copy(update={**changed, "fetched": now(), "links": None}))
        return self._fail(url, reason, transient)

    def _fail(self, url: str, reason: str, transient: bool = False) -> tuple[Outcome, str]:
        self._hold(url, reason)
        self._counters.failed(url, reason, transient)
        return Outcome.FAILED, reason

    def _hold(self, url: str, reason: str) -> None:
        try:
            self._quarantine.hold(url, reason)
        except TwinError as error:
            self.fatal = error
            raise
