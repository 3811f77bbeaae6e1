"""From pages to the warehouse: one intake per source and crawl, whatever kind the source is."""

import hashlib
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version
from traceback import format_exc

import structlog

from twin.crawl.authorship import Authorship
from twin.crawl.page import Article, ListingError, Page, PaywallError, UnusableError
from twin.crawl.platforms import names_of_site, platform_of
from twin.crawl.read_article import READER_VERSION, checked, read_article
from twin.crawl.web.urls import page_key, same_page
from twin.domain.crawl import Change, CrawlRecord, CrawlStatus, crawl_id, quarantine_id
from twin.domain.document import Document, document_id, revision_of
from twin.domain.errors import BadDataError, TryAgainError, TwinError
from twin.job import Job
from twin.recipes import Source
from twin.stores.warehouse import Warehouse

FORGOTTEN = "forgotten on demand (twin crawl forget)"

log = structlog.get_logger("twin.crawl")


class Outcome(StrEnum):
    """What became of a page."""

    STORED = "stored"
    SKIPPED = "skipped"
    FAILED = "failed"
    ELSEWHERE = "elsewhere"
    """Its canonical URL is another page of the site, which is to be fetched instead."""


@dataclass
class Tally:
    """Pages of one source by what became of them."""

    added: int = 0
    changed: int = 0
    restored: int = 0
    unchanged: int = 0
    skipped: int = 0
    failed: int = 0
    guests: int = 0
    """Of the documents, those of other writers than the author."""

    @property
    def documents(self) -> int:
        """Pages that are documents now."""
        return self.written + self.unchanged

    @property
    def written(self) -> int:
        """Documents that the warehouse did not have like this."""
        return self.added + self.changed + self.restored

    @property
    def failed_share(self) -> float:
        """Failed pages among those that were to be documents."""
        return self.failed / max(self.failed + self.documents, 1)


@dataclass
class Intake:
    """Takes the pages of one source, in any order and from any thread.

    Attributes:
        full: read every page again, even if its bytes are those of the stored document.
        fatal: what ended the crawl of every source (the warehouse is away); then no page is
            taken any more. A page that breaks its reader fails alone.
        entry_errors: start pages, sitemaps and feeds that could not be read.
    """

    job: Job
    warehouse: Warehouse
    source: Source
    full: bool = False
    advance: Callable[[int], None] = lambda _: None
    tally: Tally = field(default_factory=Tally)
    fatal: BaseException | None = None
    entry_errors: list[TwinError] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _transient: int = 0
    _reasons: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        author = self.job.recipe.author
        self._author = author
        self._started = datetime.now(UTC)
        self._fetched = (
            {} if self.full else self.warehouse.fetched_digests(author.id, self.source.name)
        )
        held = self.warehouse.quarantined(author.id, self.source.name)
        self._quarantined = {item.id for item in held}
        self._forgotten = self.warehouse.forgotten(author.id)
        stored = self.warehouse.urls_of(author.id, self.source.name)
        erased = [item.url for item in self._forgotten.values()]
        self._names = {page_key(url): url for url in (*stored, *erased)}
        self._authorship = Authorship(
            author,
            guests_included=self.source.guests == "include",
            nobody=names_of_site(self.source),
        )
        limits = self.job.recipe.crawl
        rights = self.job.recipe.digest("rights")
        whose = f"{author!r} {self.source.guests}"
        knobs = f"{limits.min_words} {limits.keep_links}"
        self._reader = "\n".join((READER_VERSION, version("trafilatura"), knobs, rights, whose))
        self._previous = self.warehouse.last_crawl(self.job.recipe.name, self.source.name)
        self.warehouse.save_crawl(self._record(CrawlStatus.RUNNING, ""))

    def take(self, page: Page) -> tuple[Outcome, str]:
        """Make a document of a page and store it.

        Returns:
            The outcome, and with `Outcome.ELSEWHERE` the URL to fetch instead, else the reason.

        Raises:
            TwinError: the warehouse is away; every later call raises the same at once.
        """
        return self._guarded(page.url, page.expected, lambda: self._take(page))

    def take_article(
        self, url: str, state: bytes, read: Callable[[], Article], *, expected: bool = True
    ) -> tuple[Outcome, str]:
        """Store an article that came as no page: of an export, a dump or a repository.

        Args:
            url: its canonical URL, unless the article names another.
            state: what changes when the article does: its bytes, or a digest of them.
            read: gives the article, or raises as `read_article`; not called where the state is
                that of the stored document.
            expected: being unusable is a failure; else it is quarantined and counted as skipped.

        Raises:
            TwinError: as `take`.
        """
        return self._guarded(url, expected, lambda: self._take_article(url, state, read))

    def _guarded(
        self, url: str, expected: bool, take: Callable[[], tuple[Outcome, str]]
    ) -> tuple[Outcome, str]:
        if self.fatal is not None:
            raise self.fatal
        try:
            return take()
        except ListingError as error:
            return self.skip(str(error))
        except PaywallError as error:
            return self.refuse(url, str(error))
        except UnusableError as error:
            return self._refuse(url, expected, str(error))
        except TwinError as error:
            self.fatal = error
            raise
        except Exception as error:  # a defect that one page brings out must not end the crawl
            log.warning("page broke its reader", page=url, exception=format_exc())
            return self.fail(url, _broken(error))

    def _take_article(
        self, url: str, state: bytes, read: Callable[[], Article]
    ) -> tuple[Outcome, str]:
        digest = hashlib.sha256(self._reader.encode() + b"\n" + state).hexdigest()
        identity = document_id(self._author.id, url)
        if identity in self._forgotten:
            return self.skip(FORGOTTEN)
        if self._fetched.get(identity) == digest:
            return self._stored(identity, url, Change.UNCHANGED)
        article = checked(read(), self.job.recipe.crawl)
        return self._keep(article.canonical_url or url, article, digest)

    def _take(self, page: Page) -> tuple[Outcome, str]:
        digest = hashlib.sha256(self._reader.encode() + b"\n" + page.body).hexdigest()
        identity = document_id(self._author.id, self._name(page.url))
        if identity in self._forgotten:
            return self.skip(FORGOTTEN)
        if self._fetched.get(identity) == digest and not page.reserved:
            return self._stored(identity, page.url, Change.UNCHANGED)
        article = read_article(page, self.job.recipe.crawl)
        url = article.canonical_url or page.url
        if page.has_siblings and not same_page(url, page.url):
            self.skip(f"its canonical URL is {url}")
            return Outcome.ELSEWHERE, url
        article = replace(article, reserved=tuple(sorted({*article.reserved, *page.reserved})))
        return self._keep(url, article, digest)

    def _keep(self, url: str, article: Article, digest: str) -> tuple[Outcome, str]:
        """Store an article, unless it was forgotten or its publisher forbids it."""
        document = self._document(self._name(url), article)
        own = document_id(self._author.id, document.url)
        if not self._forgotten.keys().isdisjoint((own, document.id)):
            return self.skip(FORGOTTEN)
        if document.reserved and self.job.recipe.rights.honour_reservations:
            self.warehouse.withdraw(document.id)
            return self.skip(f"reserved by its publisher: {', '.join(document.reserved)}")
        if document.id != own:
            self.warehouse.withdraw(own)  # it was taken for the author's before
            with self._lock:
                self.tally.guests += document.id not in self._seen
        return self._stored(document.id, url, self.warehouse.upsert(document, fetched=digest))

    def _name(self, url: str) -> str:
        """The URL that the page is stored under: whichever way it is linked now, it keeps it."""
        return self._names.get(page_key(url), url)

    def _document(self, url: str, article: Article) -> Document:
        now = datetime.now(UTC)
        writer = self._authorship.of(article.byline)
        return Document(
            id=document_id(writer.id, url),
            author_id=writer.id,
            author_name=writer.name,
            source=self.source.name,
            url=url,
            original_url=article.original_url,
            platform=article.platform or platform_of(self.source, url),
            kind=article.kind,
            title=article.title,
            subtitle=article.subtitle,
            byline=article.byline,
            published=article.published,
            modified=article.modified,
            language=article.language,
            tags=article.tags,
            licence=article.licence or self.job.recipe.rights.licence,
            consent=self.job.recipe.rights.consent,
            reserved=article.reserved,
            content=article.content,
            revision=revision_of(article.title, article.content),
            first_seen=now,
            last_changed=now,
        )

    def _stored(self, identity: str, url: str, change: Change) -> tuple[Outcome, str]:
        held = quarantine_id(self._author.id, self.source.name, url)
        if held in self._quarantined:
            self.warehouse.release(held)
        with self._lock:
            if identity in self._seen:  # two addresses of one document
                return Outcome.STORED, url
            self._seen.add(identity)
            self.job.counts.read += 1
            if change is Change.UNCHANGED:
                self.job.counts.skipped += 1
            else:
                self.job.counts.written += 1
            setattr(self.tally, change.value, getattr(self.tally, change.value) + 1)
        self.advance(1)
        return Outcome.STORED, url

    def skip(self, reason: str) -> tuple[Outcome, str]:
        """Note a page that is rightly no document."""
        with self._lock:
            self.tally.skipped += 1
            self.job.counts.read += 1
            self.job.counts.skipped += 1
        self.advance(1)
        return Outcome.SKIPPED, reason

    def _refuse(self, url: str, expected: bool, reason: str) -> tuple[Outcome, str]:
        return self.fail(url, reason) if expected else self.refuse(url, reason)

    def refuse(self, url: str, reason: str) -> tuple[Outcome, str]:
        """Note a page that is rightly no document, but may be missed: it is set aside.

        Raises:
            TwinError: the warehouse is away.
        """
        self._hold(url, reason)
        return self.skip(reason)

    def fail(self, url: str, reason: str, *, transient: bool = False) -> tuple[Outcome, str]:
        """Note a page or file that could not be had or used, and quarantine it.

        Raises:
            TwinError: the warehouse is away.
        """
        self._hold(url, reason)
        with self._lock:
            self.tally.failed += 1
            self._transient += transient
            self._reasons[reason] += 1
            self.job.counts.read += 1
            self.job.fail_item(url, reason)
        self.advance(1)
        return Outcome.FAILED, reason

    def _hold(self, url: str, reason: str) -> None:
        try:
            self.warehouse.quarantine(
                author_id=self._author.id, source=self.source.name, url=url, reason=reason
            )
        except TwinError as error:
            self.fatal = error
            raise

    def conclude(self) -> TwinError | None:
        """Close the books of this source: what was seen, the crawl's record, its verdict.

        Returns:
            What is wrong with this source as a whole, or None.
        """
        self.warehouse.mark_seen(self._seen, self._started)
        error = self._verdict()
        status = CrawlStatus.DONE if error is None else CrawlStatus.FAILED
        record = self._record(status, str(error or ""))
        fingerprint = self.warehouse.source_fingerprint(self._author.id, self.source.name)
        self._news = self._previous is None or self._previous.fingerprint != fingerprint
        self.warehouse.save_crawl(
            record.model_copy(update={"finished": datetime.now(UTC), "fingerprint": fingerprint})
        )
        return error

    @property
    def has_news(self) -> bool:
        """Whether the source's documents differ from when a crawl of it last ended well.

        Not the same as having written something now: a crawl that was killed after its last
        write has told nobody, and the one that runs after it writes nothing.
        """
        return self._news

    def _verdict(self) -> TwinError | None:
        name = f"source {self.source.name!r}"
        if self.entry_errors:
            return joined(self.entry_errors)
        if self.tally.documents == 0:
            return self._error(f"{name} gave no document: {self._why_none()}")
        limit = self.job.recipe.crawl.max_failed_share
        if self.tally.failed_share > limit:
            return self._error(
                f"{name}: {self.tally.failed} of {self.tally.failed + self.tally.documents} pages "
                f"failed, more than crawl.max_failed_share = {limit:.0%} "
                f"(mostly: {self._commonest()})"
            )
        return None

    def _error(self, message: str) -> TwinError:
        """Bad data, or try again if most failures may pass."""
        if self._transient * 2 > self.tally.failed:
            return TryAgainError(message)
        return BadDataError(message)

    def _why_none(self) -> str:
        if self.tally.failed:
            return f"{self.tally.failed} pages failed (mostly: {self._commonest()})"
        if self.tally.skipped:
            return f"{self.tally.skipped} pages were read and none is an article: see its include"
        return "nothing in it is included: see its include, exclude and follow_links"

    def _commonest(self) -> str:
        return self._reasons.most_common(1)[0][0]

    def _record(self, status: CrawlStatus, message: str) -> CrawlRecord:
        return CrawlRecord(
            id=crawl_id(self.job.run_id, self.source.name),
            run_id=self.job.run_id,
            recipe=self.job.recipe.name,
            author_id=self._author.id,
            source=self.source.name,
            started=self._started,
            status=status,
            counts=asdict(replace(self.tally)),
            message=message,
        )


def _broken(error: Exception) -> str:
    """The reason of a page that broke its reader: one line that every store can hold."""
    text = " ".join(str(error).split())[:200].encode(errors="replace").decode()
    return f"cannot be read: {type(error).__name__}: {text}"


def joined(errors: list[TwinError]) -> TwinError:
    """Several errors as one line; worth trying again if one of them is."""
    if len(errors) == 1:
        return errors[0]
    message = "; ".join(dict.fromkeys(str(error) for error in errors))
    if any(isinstance(error, TryAgainError) for error in errors):
        return TryAgainError(message)
    return BadDataError(message)
