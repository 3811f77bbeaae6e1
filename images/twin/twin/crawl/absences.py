"""Which documents a crawl found gone from where they were published.

Only a crawl that ended well says anything about what it did not see. For each document of the
source that it has not seen, the pages that it was made from speak:

- answered 410 (Gone, RFC 9110): gone now;
- answered 404, leads elsewhere, or is no longer wanted by the recipe: missed;
- asked for and anything else (an error, a page that cannot be read): no evidence, it stays;
- never come across: missed if the source's listing is complete, else no evidence.

What as many crawls in a row have missed as the source allows is gone.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from twin.crawl.web.urls import page_key


class Absence(StrEnum):
    """What a page said when it was not there."""

    GONE = "gone"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass
class Absences:
    """What one crawl of a source learnt about pages that gave no document.

    Attributes:
        complete: the crawl came across every page that the source has.
        cut_short: it was stopped, or left pages out by a limit of the recipe: then nothing is
            missed.
        after: crawls in a row that must miss a document before it is gone.
    """

    complete: bool = False
    cut_short: bool = False
    after: int = 3
    pages: dict[str, Absence] = field(default_factory=dict)
    """By `page_key`: a page may be linked one way today and was another way yesterday."""

    def note(self, url: str, absence: Absence) -> None:
        """Note what a page said; the stronger word stays."""
        order = list(Absence)
        key = page_key(url)
        before = self.pages.get(key, Absence.UNKNOWN)
        self.pages[key] = min(before, absence, key=order.index)

    def knows(self, url: str) -> bool:
        """Whether the page has been asked for, or needs not be."""
        return page_key(url) in self.pages

    def missed(
        self, unseen: Mapping[str, Collection[str]]
    ) -> tuple[frozenset[str], frozenset[str]]:
        """Documents that are gone at once, and those that were missed.

        Args:
            unseen: document id to the URLs that it was found at.
        """
        unasked = Absence.MISSING if self.complete else Absence.UNKNOWN
        gone, missing = set(), set()
        for document, urls in unseen.items():
            said = {self.pages.get(page_key(url), unasked) for url in urls}
            if said == {Absence.GONE}:
                gone.add(document)
            elif Absence.UNKNOWN not in said:
                missing.add(document)
        return frozenset(gone), frozenset(missing)


def of_status(status: int | None) -> Absence:
    """What an answer's status says of the page."""
    return {410: Absence.GONE, 404: Absence.MISSING}.get(status or 0, Absence.UNKNOWN)
