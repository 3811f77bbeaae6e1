"""What becomes live of what crawls brought: all of one that ended well, or as a person says."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import structlog

from twin.crawl.cross_posts import unite_cross_posts
from twin.domain.errors import NothingToDo
from twin.job import Job
from twin.stores.held_documents import HeldDocuments

if TYPE_CHECKING:
    from twin.stores.warehouse import Warehouse

log = structlog.get_logger("twin.crawl")


def let_through(job: Job, warehouse: "Warehouse", source: str, *, well: bool) -> None:
    """Make live what a crawl of a source has brought, if it ended well; else say what waits.

    Raises:
        TwinError: the warehouse is away.
    """
    held, author = HeldDocuments(warehouse), job.recipe.author.id
    if well:
        held.accept(author, source)
        return
    if waiting := len(held.of(author, source)):
        job.result.detail[f"{source}: held back"] = waiting
        log.warning(
            "held back, so that no later stage reads it, until a crawl of the source ends well or "
            f"`twin crawl accept --recipe {job.recipe.name} --source {source}`",
            source=source,
            documents=waiting,
        )


def accept(job: Job, sources: Sequence[str]) -> None:
    """Make live what failed crawls have brought, because a person says so.

    Args:
        job: names the author.
        sources: names of sources, of links as well; none means all.

    Raises:
        NothingToDo: nothing waits.
        TryAgainError: the warehouse is away.
    """
    from twin.stores.warehouse import open_warehouse

    author = job.recipe.author.id
    with open_warehouse(job.settings) as warehouse:
        held = HeldDocuments(warehouse)
        accepted = sum(held.accept(author, source) for source in sources or (None,))
        # Also where nothing waits any more: a kill may have come in between.
        order = [source.name for source in job.recipe.sources]
        found = unite_cross_posts(warehouse, author, order)
        job.result.detail["documents"] = warehouse.live_count(author)
    job.counts.read = job.counts.written = accepted
    job.result.detail["cross_posts"] = asdict(found)
    if not accepted:
        of = f" of {', '.join(sources)}" if sources else ""
        raise NothingToDo(f"no document{of} waits to be accepted (`twin warehouse list --held`)")
