"""From pages to the warehouse: one intake per source and crawl, whatever kind the source is."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from traceback import format_exc
from typing import TYPE_CHECKING, Any

import structlog

from twin.crawl.absences import Absence, Absences, of_status
from twin.crawl.books import Books
from twin.crawl.budget import Budget
from twin.crawl.canonical_claims import CanonicalClaims, Named, Verdict
from twin.crawl.counters import Counters
from twin.crawl.formats.front_matter import NOT_YET, UNPUBLISHED
from twin.crawl.known_pages import KnownPages
from twin.crawl.page import (
    ARTICLE_TYPE,
    Article,
    DraftError,
    Exchange,
    ListingError,
    Page,
    PaywallError,
    UnusableError,
    article_json,
    now,
)
from twin.crawl.page_records import PageRecords
from twin.crawl.quarantine import Quarantine
from twin.crawl.read_article import checked
from twin.crawl.reader_process import BrokenReaderError, ReadAll, read_each
from twin.crawl.rules import rules_of
from twin.crawl.source_documents import SourceDocuments
from twin.crawl.steps import Bury, Read, Steps, Store, Work, at_once, carried_out
from twin.crawl.tally import FORGOTTEN, RESERVED, Failures, Outcome, Tally, joined, verdict
from twin.crawl.web.dead_links import DeadLinks
from twin.crawl.web.urls import page_key, same_page
from twin.domain.crawl import Change, FetchedPage
from twin.domain.document import STANDING, DocumentStatus, document_id
from twin.domain.errors import TwinError
from twin.job import Job
from twin.recipes import Source
from twin.stores.warehouse import Warehouse

if TYPE_CHECKING:
    from twin.crawl.recorder import Recording
    from twin.crawl.workspace import Workspace

log = structlog.get_logger("twin.crawl")


@dataclass
class Intake:
    """Takes the pages of one source, in any order and from any thread.

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
        self._work: Work = {Read: self._read_all, Bury: self._bury_all, Store: self._store_all}

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

    # Pages

    def take(self, page: Page) -> tuple[Outcome, str]:
        """Make a document of a page and store it.

        Returns:
            The outcome, and with `Outcome.ELSEWHERE` the URL to fetch instead, else the reason.

        Raises:
            TwinError: the warehouse is away; every later call raises the same at once.
        """
        outcome: tuple[Outcome, str] = self.taken([self.taking(page)])[0]
        return outcome

    def take_article(
        self,
        url: str,
        state: bytes,
        read: Callable[[], Article],
        *,
        expected: bool = True,
        fetched: datetime | None = None,
    ) -> tuple[Outcome, str]:
        """Store an article that came as no page: of an export, a dump or a repository.

        Args:
            url: its canonical URL, unless the article names another.
            state: what changes when the article does: its bytes, or a digest of them.
            read: gives the article, or raises as `read_article`; not called where the state is
                that of the stored document.
            expected: being unusable is a failure; else it is quarantined and counted as skipped.
            fetched: when; now, unless it is replayed.

        Raises:
            TwinError: as `take`.
        """
        page = Page(url, b"", ARTICLE_TYPE, expected=expected, fetched=fetched or now())
        taking = self._taking_article(page, state, read)
        outcome: tuple[Outcome, str] = self.taken([taking])[0]
        return outcome

    def taken(self, takings: Sequence[Steps[Any]]) -> list[Any]:
        """The results of pages that are taken together: of `taking`, `passing_by`, `confirming`.

        Raises:
            TwinError: as `take`.
        """
        if self.fatal is not None:
            raise self.fatal
        try:
            return carried_out(takings, self._work)
        except TwinError as error:
            self.fatal = error
            raise

    def taken_now(self, takings: Sequence[Steps[Any]]) -> list[Any]:
        """`taken`, of pages that were fetched just now; notes in the warehouse what it has seen.

        At the end of the crawl all of it at once would be a second for every 1,000 documents.

        Raises:
            TwinError: as `take`.
        """
        results = self.taken(takings)
        try:
            self.warehouse.mark_seen(self._counters.standing(), self.books.started)
        except TwinError as error:
            self.fatal = error
            raise
        return results

    def _read_all(self, steps: Sequence[Read]) -> Sequence[object]:
        return self.read([step.page for step in steps], self.job.recipe.crawl)

    def _store_all(self, steps: Sequence[Store]) -> Sequence[object]:
        return self._documents.store([(step.document, step.digest) for step in steps])

    def _bury_all(self, steps: Sequence[Bury]) -> Sequence[object]:
        buried = self.bury({step.identity: step.when for step in steps})
        return [step.identity in buried for step in steps]

    def _taking_article(
        self, page: Page, state: bytes, read: Callable[[], Article]
    ) -> Steps[tuple[Outcome, str]]:
        digest = hashlib.sha256(state).hexdigest()
        fetched = self._documents.digest(digest)
        articles: list[Article] = []

        def read_once() -> Article:
            articles.append(checked(read(), self.job.recipe.crawl))
            return articles[0]

        identity = document_id(self._author, page.url)
        is_known = self._documents.is_made_of(identity, fetched)
        is_known = is_known and not self._has_expired(page.url, page.fetched)
        if is_known and identity not in self._documents.forgotten:
            return self._stored(identity, page.url, Change.UNCHANGED)
        outcome, reason, found = yield from self._read(page, fetched, at_once(read_once))
        self._note_absence(page.url, outcome, found)
        if articles:  # there is no page: what was made of it is kept in its place
            body = article_json(articles[0])
            self._remember(replace(page, body=body), digest, outcome, reason, found)
        return outcome, reason

    def taking(self, page: Page) -> Steps[tuple[Outcome, str]]:
        """As `take`, in steps, for `taken`."""
        digest = hashlib.sha256(page.body).hexdigest()
        known = None if page.reserved else self.pages.current(page.url, digest)
        again = known and self._again(page.url, known, page.fetched)
        if known and again:
            outcome, reason, identity = again[0], known.reason, known.document_id
            if known.expires:
                self._ends[page.url] = known.expires
        else:
            outcome, reason, identity = yield from self._read(
                page, self._documents.digest(digest), _article_of(page)
            )
            self._note_absence(page.url, outcome, identity)
        self._remember(page, digest, outcome, reason, identity)
        return again or (outcome, reason)

    def _remember(
        self, page: Page, digest: str, outcome: Outcome, reason: str, identity: str | None
    ) -> None:
        """Keep a page's bytes, unless we may not, and what became of it."""
        may_keep = not reason.startswith((FORGOTTEN, RESERVED))
        is_settled = not self.claims.is_held(page.url)
        self._records.keep(
            page, digest, outcome.value, reason, identity, raw=may_keep, settled=is_settled,
            expires=self._ends.pop(page.url, None),
        )  # fmt: skip

    def _read(
        self, page: Page, fetched: str, read: Steps[Article]
    ) -> Steps[tuple[Outcome, str, str | None]]:
        """Outcome, reason, and the id of the document that a page became."""
        try:
            return (yield from self._read_or_raise(page, fetched, read))
        except ListingError as error:
            return *self.skip(str(error)), None
        except PaywallError as error:
            return *self.refuse(page.url, str(error)), None
        except UnusableError as error:
            return *self._refuse(page, str(error)), None
        except TwinError:
            raise
        except BrokenReaderError as error:
            log.warning("page broke its reader", page=page.url, exception=error.trace)
            return *self._fail(page.url, f"cannot be read: {error.reason}"), None
        except Exception as error:  # a defect that one page brings out must not end the crawl
            log.warning("page broke its reader", page=page.url, exception=format_exc())
            return *self._fail(page.url, _broken(error)), None

    def _read_or_raise(
        self, page: Page, fetched: str, read: Steps[Article]
    ) -> Steps[tuple[Outcome, str, str | None]]:
        identity = document_id(self._author, self._documents.name(page.url))
        if identity in self._documents.forgotten:
            return *self.skip(FORGOTTEN), None
        is_known = self._documents.is_made_of(identity, fetched) and not page.reserved
        if is_known and not self._has_expired(page.url, page.fetched):
            return *self._stored(identity, page.url, Change.UNCHANGED), identity
        try:
            article = yield from read
        except DraftError as error:  # it may have been published before
            stood = yield Bury(identity, page.fetched)
            if stood and page.media_type == ARTICLE_TYPE:  # there is no page to say so in a replay
                self._expired.append(identity)
            return *self._skip_draft(page.url, str(error)), None
        url, outcome = self._place(page, article)
        if outcome is not None:
            return *outcome, None
        article = replace(article, reserved=tuple(sorted({*article.reserved, *page.reserved})))
        return (yield from self._keep(url, article, fetched, page))

    def _place(self, page: Page, article: Article) -> tuple[str, tuple[Outcome, str] | None]:
        """The URL that an article has; or the outcome, if it is none here."""
        url = article.canonical_url or page.url
        if article.continues and page.has_siblings and same_page(url, page.url):
            url = article.continues
        if same_page(url, page.url):
            return url, None
        if document_id(self._author, self._documents.name(url)) in self._documents.forgotten:
            return url, self.skip(FORGOTTEN)
        found = self._verdict_on(page, url, article)
        if found is Verdict.WRONG:
            return page.url, None
        if not page.has_siblings:
            return url, None
        if found is Verdict.BELIEVED:
            self.skip(f"its canonical URL is {url}")
        return url, (Outcome.ELSEWHERE, url)

    def _keep(
        self, url: str, article: Article, fetched: str, page: Page
    ) -> Steps[tuple[Outcome, str, str | None]]:
        """Store an article, unless it was forgotten or its publisher forbids it."""
        documents = self._documents
        document = documents.draft(documents.name(url), article, page.fetched)
        own = document_id(self._author, document.url)
        if not documents.forgotten.isdisjoint((own, document.id)):
            return *self.skip(FORGOTTEN), None
        if document.reserved and self.job.recipe.rights.honour_reservations:
            yield Bury(document.id, page.fetched)
            return *self.skip(f"{RESERVED}: {', '.join(document.reserved)}"), None
        if document.id != own:
            yield Bury(own, page.fetched)  # it was taken for the author's before
            documents.guests.add(document.id)
        if article.expires is not None:
            self._ends[page.url] = article.expires
        change = yield Store(document, fetched)
        if page.has_siblings:  # a replay has the pages of many crawls
            documents.keep_name(document.url)
        return *self._stored(document.id, url, change), document.id

    def _stored(self, identity: str, url: str, change: Change) -> tuple[Outcome, str]:
        self._quarantine.release(url)
        self._counters.stored(identity, change, by_guest=identity in self._documents.guests)
        return Outcome.STORED, url

    # Pages that are as they were

    def conditions(self, url: str, *, links: bool = False) -> dict[str, str]:
        """Request headers that ask for a page only if it is new; empty if we need it anyway.

        Args:
            links: we need to know where it leads.
        """
        known = self.pages.current(url)
        if known is None or not self._stands(known):
            return {}
        return self.pages.conditions(url, links=links)

    def confirming(self, url: str, exchange: Exchange) -> Steps[tuple[Outcome, str] | None]:
        """Take a page that its server calls unchanged (304); for `taken`.

        The result is that of `take`, or None if the page must be fetched after all.
        """
        return at_once(partial(self._confirm, url, exchange))

    def _confirm(self, url: str, exchange: Exchange) -> tuple[Outcome, str] | None:
        known = self.pages.current(url)
        again = known and self._again(url, known)
        if not known or not again:
            return None
        self._records.keep_unchanged(known, exchange, now())
        return again

    def stands(self, url: str, captured: datetime | None, when: datetime) -> bool:
        """Whether a page's body of then is what its document was made from, by these rules.

        Args:
            url: of the page.
            captured: when it had that body.
            when: the time that counts as now.
        """
        known = self.pages.current(url)
        return known is not None and known.captured == captured and self._stands(known, when)

    def _again(
        self, url: str, known: FetchedPage, when: datetime | None = None
    ) -> tuple[Outcome, str] | None:
        """The outcome of a page that was read before; None if that no longer holds."""
        if not self._stands(known, when):
            return None
        if known.outcome == Outcome.STORED:
            assert known.document_id is not None  # noqa: S101 - see `_stands`
            return self._stored(known.document_id, url, Change.UNCHANGED)
        self._note_absence(url, Outcome(known.outcome), None)
        if known.outcome == Outcome.ELSEWHERE:
            self.skip(f"its canonical URL is {known.reason}")
            return Outcome.ELSEWHERE, known.reason
        if known.reason.startswith(UNPUBLISHED):
            return self._skip_draft(url, known.reason)
        return self.skip(known.reason)

    def _has_expired(self, url: str, when: datetime) -> bool:
        """Whether a page that was stored is not published any more, by what it said itself."""
        known = self.pages.get(url)
        return known is not None and known.expires is not None and known.expires <= when

    def _stands(self, known: FetchedPage, when: datetime | None = None) -> bool:
        if known.expires is not None and known.expires <= (when or now()):
            return False
        if known.outcome != Outcome.STORED:
            return not known.reason.startswith(NOT_YET)  # its day may have come
        digest = self._documents.digest(known.body_digest)
        return self._documents.is_made_of(known.document_id, digest)

    # Pages that are no documents

    def passing_by(self, page: Page, reason: str) -> Steps[tuple[Outcome, str]]:
        """Note a page that the recipe does not want, but which leads to others; for `taken`."""
        return at_once(partial(self._pass_by, page, reason))

    def _pass_by(self, page: Page, reason: str) -> tuple[Outcome, str]:
        self.absences.note(page.url, Absence.MISSING)
        digest = hashlib.sha256(page.body).hexdigest()
        outcome, reason = self.skip(reason)
        self._records.keep(page, digest, outcome.value, reason, raw=False)
        return outcome, reason

    def skip(self, reason: str) -> tuple[Outcome, str]:
        """Note a page that is rightly no document."""
        self._counters.skipped()
        return Outcome.SKIPPED, reason

    def _skip_draft(self, url: str, reason: str) -> tuple[Outcome, str]:
        self._counters.skipped_draft(url, reason)
        return Outcome.SKIPPED, reason

    def _refuse(self, page: Page, reason: str) -> tuple[Outcome, str]:
        if page.expected:
            return self._fail(page.url, reason)
        return self.refuse(page.url, reason)

    def refuse(self, url: str, reason: str) -> tuple[Outcome, str]:
        """Note a page that is rightly no document, but may be missed: it is set aside.

        Raises:
            TwinError: the warehouse is away.
        """
        self.absences.note(url, Absence.UNKNOWN)
        self._hold(url, reason)
        return self.skip(reason)

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

    # Pages that call another one canonical

    def _verdict_on(self, page: Page, url: str, article: Article) -> Verdict:
        """What to think of a page that calls another one canonical."""
        if page.stands_alone:
            self.claims.drop(page.url)
            return Verdict.WRONG
        if page.has_siblings:
            return self.claims.verdict(page.url, url, article.content)
        return self.claims.verdict_on_file(url, article.content)

    def believe(self, url: str) -> None:
        """Do without a page that waits for what it calls its canonical one."""
        self.claims.drop(url)
        self.skip("its canonical URL is not wanted")

    def misled(self) -> list[str]:
        """Pages whose claims turned out wrong: each is to be taken once more, standing alone.

        To be asked when nothing else is left to be read.

        Raises:
            TwinError: the warehouse is away.
        """
        wrong = []
        for url, claim, found in self.claims.judged():
            if found is Verdict.WRONG:
                wrong.append(url)
                continue
            self.skip(f"its canonical URL is {claim.target}")
            known = self.pages.get(url)
            if found is Verdict.BELIEVED and known is not None:
                self.absences.note(url, Absence.MISSING)
                self.pages.save(known.model_copy(update={"reader": self.rules}))
        return wrong

    # Documents that are no longer there

    def has_had(self, url: str) -> bool:
        """Whether a page has been a document of this source, in this crawl or before."""
        return self._documents.has_name(url)

    def _note_absence(self, url: str, outcome: Outcome, identity: str | None) -> None:
        """A page that became another document, or none, has left the one that it was."""
        if outcome is Outcome.STORED and identity == document_id(self._author, url):
            return
        moved = outcome in {Outcome.STORED, Outcome.ELSEWHERE} and not self.claims.is_held(url)
        self.absences.note(url, Absence.MISSING if moved else Absence.UNKNOWN)

    def unreached(self, *, gone: bool) -> list[str]:
        """URLs of documents that this crawl has not come across.

        Args:
            gone: also of those that are gone.

        Raises:
            TwinError: the warehouse is away.
        """
        states = set(DocumentStatus) if gone else STANDING
        unseen = self.books.unseen(self._counters.seen, self.pages, states)
        urls = {url for found in unseen.values() for url in found}
        return sorted(url for url in urls if not self.absences.knows(url))

    def bury(self, gone: Mapping[str, datetime]) -> set[str]:
        """Mark documents as gone, each at its time; their texts and history stay.

        Returns:
            Ids of those that stood.

        Raises:
            TwinError: the warehouse is away.
        """
        buried = self.books.bury(gone)
        for identity in buried:
            self._documents.drop(identity)
            self._counters.buried(identity)
        return buried

    # The crawl as a whole

    def settle(self, seen: datetime | None = None) -> None:
        """Note in the warehouse what was seen, and mark as gone what is.

        Args:
            seen: when the pages were seen, if that was not now; then nothing is said of others.

        Raises:
            TwinError: the warehouse is away.
        """
        for claim in self.claims.held.values():  # it was stopped before they could be judged
            self.skip(f"its canonical URL is {claim.target}")
        self.pages.flush()
        for url, status in self.dead_links.found.items():
            self._counters.dead_link(url, f"a dead link: answered {status}")
        came_across = self._counters.seen
        if seen is None:
            self.warehouse.mark_seen(self._counters.standing(at_least=1), self.books.started)
        else:
            self.warehouse.mark_seen(came_across, seen)
        self.error = self._verdict()
        gone = []
        if self.error is None and seen is None:
            gone = self.books.absent(self.absences, came_across, self.pages)
        if gone:
            self.bury(dict.fromkeys(gone, now()))
        if self.recorder and (gone or self._expired):
            self.recorder.conclude(self.books.id, now(), {"gone": [*gone, *self._expired]})

    def close(self) -> TwinError | None:
        """Close the books of a settled source.

        Returns:
            What is wrong with this source as a whole, or None.

        Raises:
            TwinError: the warehouse is away.
        """
        self.books.close(self.tally, self.error)
        return self.error

    @property
    def has_news(self) -> bool:
        """See `Books.has_news`."""
        return self.books.has_news

    def _verdict(self) -> TwinError | None:
        if self.entry_errors:
            return joined(self.entry_errors)
        limit = self.job.recipe.crawl.max_failed_share
        return verdict(self.source.name, self.tally, self.failures, limit)

    # A crawl that is told to end, and goes on later

    def state(self) -> dict[str, Any]:
        """What a later process needs to know to go on with this crawl, as JSON values.

        Raises:
            TwinError: the warehouse is away.
        """
        self.pages.flush()
        return {
            **self._counters.state(),
            "absences": self.absences.pages,
            "dead_links": self.dead_links.state(),
            "claims": self.claims.state(),
        }

    def go_on(self, state: dict[str, Any]) -> None:
        """Take over what an earlier process of this crawl has done."""
        for url, absence in state["absences"].items():
            self.absences.note(url, Absence(absence))
        self.dead_links.go_on(state["dead_links"])
        self.claims.go_on(state.get("claims", {}))
        self._counters.go_on(state)


def _article_of(page: Page) -> Steps[Article]:
    article: Article = yield Read(page)
    return article


def _broken(error: Exception) -> str:
    """The reason of a page that broke its reader: one line that every store can hold."""
    text = " ".join(str(error).split())[:200].encode(errors="replace").decode()
    return f"cannot be read: {type(error).__name__}: {text}"
