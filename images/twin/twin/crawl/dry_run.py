"""The dry run of a crawl: which addresses it would ask for, and why not others."""

from collections import Counter
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, cast

from twin.crawl.budget import report_limits
from twin.crawl.intake import Intake
from twin.crawl.preview import Known, Preview
from twin.crawl.run import READERS, CrawlOptions, chosen_sources
from twin.crawl.tally import joined
from twin.crawl.web.urls import page_number
from twin.domain.errors import TryAgainError
from twin.domain.terminal import printable
from twin.job import Job
from twin.recipes import GithubSource, SiteSource, Source
from twin.stores.crawl_pages import CrawlPages

NOTHING_STORED = "dry run: nothing was stored, and no page but those that list others was fetched"
INSIDE_UNKNOWN = "each repository is cloned then: which files it has is not known before"


def dry_run(job: Job, options: CrawlOptions, say: Callable[[str], object] = print) -> None:
    """Say what a crawl of these sources would do. Writes to no store.

    Args:
        job: the crawl.
        options: as for the crawl.
        say: told each line for people.

    Raises:
        BadDataError: a list of a source cannot be read, in a way that will not pass.
        TryAgainError: a site is away.
    """
    sources = chosen_sources(job, options)
    known, is_known = _known(job, sources)
    previews = [Preview(job, source, known.get(source.name, Known())) for source in sources]
    for preview in previews:
        _list(preview)
    sites = [
        (preview.source, cast(Intake, preview))
        for preview in previews
        if isinstance(preview.source, SiteSource)
    ]
    if sites:
        from twin.crawl.web.crawl_sites import crawl_sites

        with job.progress("list sites", None) as advance:
            for preview in previews:
                preview.advance = advance
            crawl_sites(sites, job.recipe.crawl, only_list=True)
    for preview in previews:
        _tell(preview, say)
    if not is_known:
        say("the warehouse does not answer: what is known was taken for new")
    say(_limits(job))
    say(NOTHING_STORED)
    job.result.detail["dry_run"] = True
    if errors := [error for preview in previews for error in preview.entry_errors]:
        raise joined(errors)


def _known(job: Job, sources: Sequence[Source]) -> tuple[dict[str, Known], bool]:
    """What is known of each source, and whether the warehouse could be asked."""
    from twin.stores.warehouse import open_warehouse

    author, found = job.recipe.author.id, {}
    try:
        with open_warehouse(job.settings) as warehouse:
            for source in sources:
                documents = tuple(sorted(warehouse.urls_of(author, source.name)))
                pages = (page.url for page in CrawlPages(warehouse).pages(author, source.name))
                numbers = frozenset(page_number(url) for url in (*pages, *documents))
                found[source.name] = Known(documents, numbers)
    except TryAgainError:
        return {}, False
    return found, True


def _list(preview: Preview) -> None:
    """List a source that is no web site by its reader; those are listed together."""
    source = preview.source
    if isinstance(source, GithubSource):
        _list_repositories(source, preview)
    elif source.kind in READERS:
        module, function = READERS[source.kind]
        read: Callable[[Any, Any], None] = getattr(
            import_module(f"twin.crawl.sources.{module}"), function
        )
        read(source, preview)
    report_limits(preview.job, source.name, preview.budget.left_out, preview.budget.stopped_by)


def _list_repositories(source: GithubSource, preview: Preview) -> None:
    from twin.crawl.sources.github import SITE, repositories

    for repository in repositories(source, cast(Intake, preview)):
        url = f"{SITE}/{source.user}/{repository.name}"
        if repository.size > source.max_repository_bytes:
            preview.leave_out(url, f"about {repository.size:,} bytes, see max_repository_bytes")
        else:
            preview.ask(url, INSIDE_UNKNOWN)


def _tell(preview: Preview, say: Callable[[str], object]) -> None:
    """One source for people, and in the job's result."""
    job, name = preview.job, preview.source.name
    known = {url for url in preview.asked if preview.known.has(url)}
    left_out = {url: why for url, why in preview.left_out.items() if url not in preview.asked}
    reasons = Counter(left_out.values()) + preview.skipped
    new = len(preview.asked) - len(known)
    say(
        f"source {name} ({preview.source.kind}): would ask for {len(preview.asked):,} "
        f"({new:,} new, {len(known):,} known), leave out {reasons.total():,}"
    )
    for url, purpose in preview.asked.items():
        say(printable(f"  {'known' if url in known else 'new  '}  {url}{_why(purpose)}"))
    for url, reason in left_out.items():
        say(printable(f"  out    {url}{_why(reason)}"))
    for reason, count in preview.skipped.items():
        say(printable(f"  out    {count:,} without an address{_why(reason)}"))
    if preview.leads_on:
        say("  and the pages that these lead to (follow_links), as far as the limits allow")
    for key in ("beyond crawl.max_pages", "stopped by"):
        if met := job.result.detail.get(f"{name}: {key}"):
            say(f"  {key}: {met}")
    for error in preview.entry_errors:
        say(printable(f"  error  {error}"))
    job.counts.read += len(preview.asked)
    job.counts.skipped += reasons.total()
    job.result.detail[name] = {
        "asked": len(preview.asked), "new": new, "known": len(known), "left_out": dict(reasons),
    }  # fmt: skip


def _why(reason: str) -> str:
    return f"  ({reason})" if reason else ""


def _limits(job: Job) -> str:
    crawl = job.recipe.crawl
    robots = "robots.txt is obeyed" if crawl.obey_robots else "robots.txt is not obeyed"
    return (
        f"limits of each source: {crawl.max_pages:,} pages, {crawl.max_bytes:,} bytes (a page "
        f"{crawl.max_page_bytes:,}), {crawl.max_seconds:,} seconds; of web sites "
        f"{crawl.concurrency_per_host} requests at a time and {crawl.delay_seconds:g} seconds "
        f"between two at first, and {robots}"
    )
