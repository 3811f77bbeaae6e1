"""From pages to the warehouse: one intake per source and crawl, whatever kind the source is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from twin.crawl.absences import Absence
from twin.crawl.canonical_claims import Verdict
from twin.crawl.page import now
from twin.crawl.page_intake import PageIntake
from twin.crawl.tally import joined, verdict
from twin.domain.document import STANDING, DocumentStatus
from twin.domain.errors import TwinError


@dataclass
class Intake(PageIntake):
    """Takes the pages of one source, and says at the end what became of the source as a whole.

    Its fields are those of `twin.crawl.opened_source.OpenedSource`.
    """

    # Pages that call another one canonical

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
