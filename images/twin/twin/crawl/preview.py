"""What a crawl of one source would do, gathered by the readers of the crawl itself.

A `Preview` stands where a crawl has its `Intake`, with the part of it that lists of addresses are
handed to; it has no way to the warehouse, so nothing can be stored. What a reader should ask of it
besides would be a defect, and is one loudly.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from twin.crawl.absences import Absences
from twin.crawl.budget import Budget
from twin.crawl.page import Page
from twin.crawl.tally import Failures, Outcome
from twin.crawl.web.dead_links import DeadLinks
from twin.crawl.web.urls import page_number
from twin.domain.errors import TwinError
from twin.job import Job
from twin.recipes import Source


@dataclass(frozen=True)
class Known:
    """What earlier crawls of a source have left in the warehouse.

    Attributes:
        documents: URLs of its documents.
        pages: numbers (`page_number`) of all its pages.
    """

    documents: tuple[str, ...] = ()
    pages: frozenset[int] = frozenset()

    def has(self, url: str) -> bool:
        """Whether a page has been fetched before, or a document below this address."""
        return page_number(url) in self.pages or any(
            document.startswith(f"{url}/") for document in self.documents
        )


@dataclass
class Preview:
    """See the module. Safe to share between threads, as far as the crawl of a source has any.

    Attributes:
        asked: URL of what would be fetched, to what it would be fetched for.
        left_out: URL to why it would not be.
        skipped: reasons of what has no address, to how often.
        leads_on: what is asked for is followed further.
    """

    job: Job
    source: Source
    known: Known
    workspace: None = None
    fatal: BaseException | None = None
    entry_errors: list[TwinError] = field(default_factory=list)
    absences: Absences = field(default_factory=Absences)
    dead_links: DeadLinks = field(default_factory=DeadLinks)
    failures: Failures = field(default_factory=Failures)
    asked: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    leads_on: bool = False
    advance: Callable[[int], None] = lambda _: None

    def __post_init__(self) -> None:
        self.budget = Budget(self.job.recipe.crawl)
        # A folder tells which names its files have; nothing is judged by them here.
        self.claims = SimpleNamespace(named=SimpleNamespace(files=frozenset()))

    def ask(self, url: str, purpose: str = "") -> None:
        """Note what would be fetched."""
        self.asked.setdefault(url, purpose)
        self.advance(1)

    def leave_out(self, url: str, reason: str) -> None:
        """Note what would not be."""
        self.left_out.setdefault(url, reason)

    # What readers of files and lists call

    def take(self, page: Page) -> tuple[Outcome, str]:
        """A page that would be read."""
        self.ask(page.url)
        return Outcome.SKIPPED, ""

    def take_article(self, url: str, *_: Any, **_more: Any) -> tuple[Outcome, str]:
        """An article of an export, a dump or a bucket; it is not read."""
        self.ask(url)
        return Outcome.SKIPPED, ""

    def taken_now(self, *_: Any) -> list[Any]:
        """No page is read."""
        raise NotImplementedError("a dry run takes no pages")

    def fail(self, url: str, reason: str, **_: Any) -> tuple[Outcome, str]:
        """What could not be used."""
        self.leave_out(url, reason)
        return Outcome.FAILED, reason

    def refuse(self, url: str, reason: str) -> tuple[Outcome, str]:
        """What is rightly no document."""
        self.leave_out(url, reason)
        return Outcome.SKIPPED, reason

    def skip(self, reason: str) -> tuple[Outcome, str]:
        """As `refuse`, of something without an address."""
        self.skipped[reason] += 1
        return Outcome.SKIPPED, reason

    def conditions(self, _url: str, *, links: bool = False) -> dict[str, str]:  # noqa: ARG002
        """A page is asked for whole: what it leads to is wanted."""
        return {}

    def has_had(self, _url: str) -> bool:
        """A page that is not there is told, whoever speaks of it."""
        return True
