"""What became of the pages of one source, and what that says of the crawl as a whole."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from twin.domain.errors import BadDataError, TryAgainError, TwinError

#: Why a page is no document: nobody may have its text.
FORGOTTEN = "forgotten on demand (twin crawl forget)"
RESERVED = "reserved by its publisher"


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
    gone: int = 0
    skipped: int = 0
    failed: int = 0
    guests: int = 0
    """Of the documents, those of other writers than the author."""
    drafts: int = 0
    """Of the skipped pages, those that their site does not publish."""
    dead_links: int = 0
    """Of the skipped pages, those that only a link spoke of, and that are not there."""

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
class Failures:
    """Why pages failed.

    Attributes:
        transient: how many may not fail the next time.
    """

    transient: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str, transient: bool) -> None:
        """Count one."""
        self.transient += transient
        self.reasons[reason] += 1

    @property
    def commonest(self) -> str:
        """The reason of most of them."""
        return self.reasons.most_common(1)[0][0]


def verdict(
    source: str, tally: Tally, failures: Failures, max_failed_share: float
) -> TwinError | None:
    """What is wrong with a crawl of a source as a whole, or None."""
    name = f"source {source!r}"
    message = ""
    if tally.documents == 0:
        message = f"{name} gave no document: {_why_none(tally, failures)}"
    elif tally.failed_share > max_failed_share:
        message = (
            f"{name}: {tally.failed} of {tally.failed + tally.documents} pages "
            f"failed, more than crawl.max_failed_share = {max_failed_share:.0%} "
            f"(mostly: {failures.commonest})"
        )
    if not message:
        return None
    return (
        TryAgainError(message) if failures.transient * 2 > tally.failed else BadDataError(message)
    )


def _why_none(tally: Tally, failures: Failures) -> str:
    if tally.failed:
        return f"{tally.failed} pages failed (mostly: {failures.commonest})"
    if tally.skipped and tally.skipped == tally.drafts:
        return f"all {tally.drafts} pages are drafts, not due or expired: set its drafts to true"
    if tally.skipped and tally.skipped == tally.dead_links:
        return f"all {tally.dead_links} links lead nowhere (404)"
    if tally.skipped:
        return f"{tally.skipped} pages were read and none is an article: see its include"
    return "nothing in it is included: see its include, exclude and follow_links"


def joined(errors: list[TwinError]) -> TwinError:
    """Several errors as one line; worth trying again if one of them is."""
    if len(errors) == 1:
        return errors[0]
    message = "; ".join(dict.fromkeys(str(error) for error in errors))
    if any(isinstance(error, TryAgainError) for error in errors):
        return TryAgainError(message)
    return BadDataError(message)
