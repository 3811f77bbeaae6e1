"""Pages that call another page of their site their canonical one: believed if the texts agree.

Themes and generators that are set up wrongly call the home page, or any page, the canonical one of
every article. So a claim is checked once what it names has been read: a page whose text is in that
document is another view of it (for print, of a newsletter, one part of an article on several
pages); a page that says something else stands for itself. What cannot be told now, because what it
names has not come yet, is held until the crawl has nothing else to do: of its text a sample is
kept, and it is asked for again if the claim was wrong.
"""

import base64
import hashlib
import heapq
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from twin.crawl.cross_posts import shingles_of
from twin.crawl.tally import FORGOTTEN, RESERVED, Outcome
from twin.crawl.web.urls import page_key, page_number, spellings
from twin.domain.document import document_id
from twin.stores.held_documents import HeldDocuments

if TYPE_CHECKING:
    from twin.crawl.known_pages import KnownPages
    from twin.stores.warehouse import Warehouse

#: Share of a page's shingles that the document must have: a view of it has nearly all, another
#: article of the same site hardly any.
SAME_TEXT = 0.5
#: Shingles that are kept of a held page, those of the smallest numbers: a fair sample.
SAMPLE = 64
#: Documents whose shingles are kept while the pages that name them come in.
DOCUMENTS_KEPT = 16
#: Pages that name one another in a row, as those of a long article do.
MOST_HOPS = 60
_BYTES = 8
#: Why a page is no document whose text we may not have under any name.
NOT_OURS = (FORGOTTEN, RESERVED)


class Verdict(StrEnum):
    """What is to be thought of a claim."""

    BELIEVED = "believed"
    WRONG = "wrong"
    OPEN = "open"
    """What it names has not been read."""


@dataclass(frozen=True)
class Claim:
    """What a page calls its canonical page, and a sample of its own text."""

    target: str
    sample: bytes


@dataclass(frozen=True)
class Target:
    """What a crawl knows of the page that a claim names.

    Attributes:
        document: id of the document that it is.
        is_none: it has been read, and is no document.
        is_lost: it could not be had, which may pass, or we may not have its text.
    """

    document: str | None = None
    is_none: bool = False
    is_lost: bool = False


@dataclass
class Named:
    """What one crawl of a source knows of pages that others name.

    Attributes:
        pages: what was learnt of each.
        name: URL that a page is stored under.
        author_id: whose documents they are.
        started: when the crawl began.
        seen: ids of documents that it has come across; they grow.
        lost: keys (`page_key`) of pages that could not be had, which may pass.
        files: numbers (`page_number`) of the names that the source's files have.
    """

    pages: "KnownPages"
    name: Callable[[str], str]
    author_id: str
    started: datetime
    seen: Collection[str]
    lost: set[str] = field(default_factory=set)
    files: frozenset[int] = frozenset()

    def leads_to(self, url: str) -> str | None:
        """What a page was believed to be a view of."""
        known = self.pages.get(url)
        return known.reason if known and known.outcome == Outcome.ELSEWHERE else None

    def target(self, url: str, *, is_open: bool) -> Target:
        """What is known of a page; not ``is_open``: nothing more will be."""
        names = sorted(spellings(url))
        known = [page for name in names if (page := self.pages.get(name))]
        own = document_id(self.author_id, self.name(url))
        ids = [page.document_id for page in known if page.outcome == Outcome.STORED]
        for identity in (own, *ids):
            if identity in self.seen:
                return Target(document=identity)
        if any(page.reason.startswith(NOT_OURS) for page in known):
            return Target(is_lost=True)
        read = [page for page in known if page.fetched >= self.started]
        is_lost = not read and any(page_key(name) in self.lost for name in names)
        # A replay has no page of now.
        told = read if is_open else known
        return Target(
            is_none=any(page.outcome == Outcome.SKIPPED for page in told), is_lost=is_lost
        )


@dataclass
class CanonicalClaims:
    """The claims of one source's pages. Safe to share between threads.

    Attributes:
        named: what is known of the pages that they name.
        warehouse: has the texts of these.
        patient: no claim is judged before the end: in a replay, what it names may still be as an
            earlier crawl had it.
        held: URL to the claim of each page that waits for its verdict.
    """

    named: Named
    warehouse: "Warehouse"
    patient: bool = False
    held: dict[str, Claim] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._shingles = lru_cache(DOCUMENTS_KEPT)(lambda one: _numbers(self._text_of(one)))

    def _text_of(self, identity: str) -> str:
        return HeldDocuments(self.warehouse).newest_text(identity)

    def verdict(self, url: str, target: str, text: str) -> Verdict:
        """What to think of a page now; with `Verdict.OPEN` its claim is held.

        Raises:
            TwinError: the warehouse is away.
        """
        claim = Claim(target, sample_of(text))
        with self._lock:
            found = Verdict.OPEN if self.patient else self._judged(url, claim, is_open=True)
            if found is Verdict.OPEN:
                self.held[url] = claim
            return found

    def verdict_on_file(self, target: str, text: str) -> Verdict:
        """What to think of a file, which cannot be asked for once more: it may have any name that
        no other text has, or is to have.

        Raises:
            TwinError: the warehouse is away.
        """
        document = self.named.target(target, is_open=True).document
        if document is not None:
            is_same = _share(sample_of(text), _numbers(self._text_of(document))) >= SAME_TEXT
        else:
            is_same = page_number(target) not in self.named.files
        return Verdict.BELIEVED if is_same else Verdict.WRONG

    def is_held(self, url: str) -> bool:
        """Whether a page waits for its verdict."""
        return url in self.held

    def drop(self, url: str) -> None:
        """Nothing more is to be judged of a page."""
        self.held.pop(url, None)

    def judged(self) -> Iterator[tuple[str, Claim, Verdict]]:
        """Every held claim with its verdict, now that all that can be read is; none is held then.

        `Verdict.OPEN` is one that the next crawl may judge.

        Raises:
            TwinError: the warehouse is away.
        """
        with self._lock:
            self._shingles.cache_clear()  # a document may have changed since
            found = [
                (url, claim, self._judged(url, claim, is_open=False))
                for url, claim in sorted(self.held.items())
            ]
            self.held.clear()
        yield from found

    def _judged(self, url: str, claim: Claim, *, is_open: bool) -> Verdict:
        name = claim.target
        for _ in range(MOST_HOPS):
            named = self.held[name].target if name in self.held else self.named.leads_to(name)
            if named is None or name == url:
                break
            name = named
        target = self.named.target(name, is_open=is_open)
        if target.document is not None:
            is_same = _share(claim.sample, self._shingles(target.document)) >= SAME_TEXT
            return Verdict.BELIEVED if is_same else Verdict.WRONG
        if target.is_lost:
            return Verdict.OPEN
        return Verdict.WRONG if target.is_none or not is_open else Verdict.OPEN

    def state(self) -> dict[str, tuple[str, str]]:
        """What must be known to go on after a pause, as JSON values."""
        return {
            url: (claim.target, base64.b64encode(claim.sample).decode())
            for url, claim in self.held.items()
        }

    def go_on(self, state: Mapping[str, tuple[str, str]]) -> None:
        """Take over what was held before a pause."""
        for url, (target, sample) in state.items():
            self.held[url] = Claim(target, base64.b64decode(sample))


def sample_of(text: str) -> bytes:
    """The smallest `SAMPLE` numbers of a text's shingles."""
    return b"".join(heapq.nsmallest(SAMPLE, _numbers(text)))


def _share(sample: bytes, numbers: frozenset[bytes]) -> float:
    wanted = [sample[start : start + _BYTES] for start in range(0, len(sample), _BYTES)]
    return sum(one in numbers for one in wanted) / max(len(wanted), 1)


def _numbers(text: str) -> frozenset[bytes]:
    return frozenset(
        hashlib.blake2b(one.encode(), digest_size=_BYTES).digest() for one in shingles_of(text)
    )
