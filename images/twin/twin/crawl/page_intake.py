"""A page's way into the warehouse: read, placed at its URL, kept, remembered."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from traceback import format_exc
from typing import Any

import structlog

from twin.crawl.absences import Absence
from twin.crawl.canonical_claims import Verdict
from twin.crawl.formats.front_matter import NOT_YET, UNPUBLISHED
from twin.crawl.opened_source import OpenedSource
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
from twin.crawl.read_article import checked
from twin.crawl.reader_process import BrokenReaderError
from twin.crawl.steps import Bury, Read, Steps, Store, Work, at_once, carried_out
from twin.crawl.tally import FORGOTTEN, RESERVED, Outcome
from twin.crawl.web.urls import same_page
from twin.domain.crawl import Change, FetchedPage
from twin.domain.document import document_id
from twin.domain.errors import TwinError

log = structlog.get_logger("twin.crawl")


@dataclass
class PageIntake(OpenedSource):
    """Makes documents of the pages of a source, in any order and from any thread."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._work: Work = {Read: self._read_all, Bury: self._bury_all, Store: self._store_all}

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

    def _verdict_on(self, page: Page, url: str, article: Article) -> Verdict:
        """What to think of a page that calls another one canonical."""
        if page.stands_alone:
            self.claims.drop(page.url)
            return Verdict.WRONG
        if page.has_siblings:
            return self.claims.verdict(page.url, url, article.content)
        return self.claims.verdict_on_file(url, article.content)

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

    def _note_absence(self, url: str, outcome: Outcome, identity: str | None) -> None:
        """A page that became another document, or none, has left the one that it was."""
        if outcome is Outcome.STORED and identity == document_id(self._author, url):
            return
        moved = outcome in {Outcome.STORED, Outcome.ELSEWHERE} and not self.claims.is_held(url)
        self.absences.note(url, Absence.MISSING if moved else Absence.UNKNOWN)

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

    # Pages that only lead to others

    def passing_by(self, page: Page, reason: str) -> Steps[tuple[Outcome, str]]:
        """Note a page that the recipe does not want, but which leads to others; for `taken`."""
        return at_once(partial(self._pass_by, page, reason))

    def _pass_by(self, page: Page, reason: str) -> tuple[Outcome, str]:
        self.absences.note(page.url, Absence.MISSING)
        digest = hashlib.sha256(page.body).hexdigest()
        outcome, reason = self.skip(reason)
        self._records.keep(page, digest, outcome.value, reason, raw=False)
        return outcome, reason


def _article_of(page: Page) -> Steps[Article]:
    article: Article = yield Read(page)
    return article


def _broken(error: Exception) -> str:
    """The reason of a page that broke its reader: one line that every store can hold."""
    text = " ".join(str(error).split())[:200].encode(errors="replace").decode()
    return f"cannot be read: {type(error).__name__}: {text}"
