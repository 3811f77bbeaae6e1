"""Is every source crawled, and does it still publish as its author does?"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from twin.domain.monitoring import Measure, Standing
from twin.recipes.monitoring import FreshnessSection

DAY = timedelta(days=1)


@dataclass(frozen=True)
class SourceSeen:
    """What the warehouse says of a source.

    Attributes:
        name: of the recipe's source.
        crawled: when a crawl of it last ended well; None: never.
        published: when its documents were published, in any order; those that do not say are
            left out.
    """

    name: str
    crawled: datetime | None
    published: tuple[datetime, ...] = ()


def freshness(
    sources: Iterable[SourceSeen], now: datetime, section: FreshnessSection
) -> list[Measure]:
    """A measure for each source: days since something new was found there.

    Dates after ``now`` are left out: a page that is dated ahead would hide the silence until then.
    """
    return [_source(_until(each, now), now, section) for each in sources]


def _until(source: SourceSeen, now: datetime) -> SourceSeen:
    return replace(source, published=tuple(each for each in source.published if each <= now))


def usual_silence(published: Sequence[datetime], section: FreshnessSection) -> float | None:
    """Days that all but a share of the silences between days of publication have lasted.

    The next silence is longer with that share's chance at most, if the author goes on as before
    (a conformal bound: the rank is that of one silence more). None: there is no rhythm yet.
    """
    days = sorted({when.date() for when in published})
    gaps = sorted((later - earlier).days for earlier, later in itertools.pairwise(days))
    if len(gaps) < section.least_gaps:
        return None
    rank = math.ceil((len(gaps) + 1) * (1 - section.alpha))
    return float(gaps[min(rank, len(gaps)) - 1])


def _source(source: SourceSeen, now: datetime, section: FreshnessSection) -> Measure:
    name = f"fresh.{source.name}"
    if source.crawled is None:
        return Measure(
            name=name,
            standing=Standing.BAD,
            says=f"source {source.name} was never crawled to the end: run the DAG crawl",
        )
    hours = (now - source.crawled) / timedelta(hours=1)
    if hours > section.crawl_hours:
        return Measure(
            name=name,
            standing=Standing.BAD,
            value=hours / 24,
            reference=section.crawl_hours / 24,
            count=len(source.published),
            says=f"source {source.name} was last crawled to the end {hours:.0f} hours ago, "
            f"{section.crawl_hours} are allowed: see the DAG crawl",
        )
    return _rhythm(name, source, now, section)


def _rhythm(name: str, source: SourceSeen, now: datetime, section: FreshnessSection) -> Measure:
    usual = usual_silence(source.published, section)
    if usual is None:
        return Measure(
            name=name,
            standing=Standing.GOOD,
            count=len(source.published),
            says=f"source {source.name} is crawled; it has too few dates to show a rhythm",
        )
    silent = (now - max(source.published)) / DAY
    allowed = usual * section.patience
    says = f"source {source.name}: nothing new for {silent:.0f} days, usually {usual:.0f} at most"
    if silent > allowed:
        says += ": does its site still lead to what is new? twin crawl run --dry-run shows"
    return Measure(
        name=name,
        standing=Standing.BAD if silent > allowed else Standing.GOOD,
        value=silent,
        reference=allowed,
        count=len(source.published),
        says=says,
    )
