"""What a crawl changed: documents added, changed, restored and gone, with their texts."""

import difflib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from twin.domain.crawl import Change, CrawlRecord, DocumentChange
from twin.domain.errors import BadDataError
from twin.stores.crawl_pages import CrawlPages
from twin.stores.warehouse import Warehouse

SIGNS = {Change.ADDED: "+", Change.CHANGED: "~", Change.RESTORED: "^", Change.GONE: "-"}
WORDS = {
    Change.ADDED: "added", Change.CHANGED: "changed",
    Change.RESTORED: "restored", Change.GONE: "removed",
}  # fmt: skip


@dataclass(frozen=True)
class CrawlDiff:
    """One crawl of one source, and what it changed, by URL."""

    crawl: CrawlRecord
    changes: list[DocumentChange]

    def head(self) -> str:
        """In one line."""
        counts = Counter(change.kind for change in self.changes)
        said = ", ".join(f"{counts[kind]} {WORDS[kind]}" for kind in SIGNS if counts[kind])
        when = self.crawl.finished or self.crawl.started
        failed = f" (it failed: {self.crawl.message})" if self.crawl.message else ""
        return (
            f"{self.crawl.source}: {said or 'nothing changed'} by the crawl of "
            f"{when:%Y-%m-%d %H:%M} UTC, run {self.crawl.run_id}{failed}"
        )

    def data(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "source": self.crawl.source,
            "run_id": self.crawl.run_id,
            "finished": self.crawl.finished and self.crawl.finished.isoformat(),
            "status": self.crawl.status.value,
            "changes": [change.model_dump(mode="json") for change in self.changes],
        }


def crawl_diffs(
    warehouse: Warehouse, recipe: str, sources: list[str], run_id: str | None
) -> list[CrawlDiff]:
    """The last crawl of each source, or that of a run.

    Raises:
        BadDataError: there was none.
        TwinError: the warehouse is away.
    """
    store = CrawlPages(warehouse)
    found = []
    for source in sources:
        crawls = store.crawls(recipe, source)
        crawl = next((one for one in crawls if run_id in {None, one.run_id}), None)
        if crawl is not None:
            found.append(CrawlDiff(crawl, store.changes(crawl.id)))
    if not found:
        run = f"in run {run_id!r}" if run_id else "yet"
        raise BadDataError(f"recipe {recipe!r}: no crawl of {', '.join(sources)} has ended {run}")
    return found


def text_diff(warehouse: Warehouse, change: DocumentChange) -> Iterator[str]:
    """Lines of a unified diff of a document's texts before and after a change."""
    texts = {one.revision: one for one in warehouse.revisions(change.document_id)}
    before, after = (texts.get(revision or "") for revision in (change.before, change.after))
    yield from difflib.unified_diff(
        _lines(before),
        _lines(after),
        f"{change.url} (before)",
        f"{change.url} (after)",
        lineterm="",
    )


def _lines(revision: Any) -> list[str]:
    return [] if revision is None else [f"# {revision.title}", "", *revision.content.splitlines()]
