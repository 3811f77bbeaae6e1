"""The crawl job: every source of a recipe into the warehouse."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from twin.crawl.absences import Absences
from twin.crawl.accept import let_through
from twin.crawl.budget import report_limits
from twin.crawl.cross_posts import unite_cross_posts
from twin.crawl.intake import Intake
from twin.crawl.reader_process import ReaderProcess
from twin.crawl.recorder import Recorder
from twin.crawl.sources.by_url import source_of_link
from twin.crawl.tally import joined
from twin.crawl.workspace import open_workspace
from twin.domain.errors import BadDataError, NothingToDo, TwinError
from twin.job import Job
from twin.recipes import GithubSource, SiteSource, Source
from twin.stores.snapshots import open_snapshots

if TYPE_CHECKING:
    from twin.stores.warehouse import Warehouse

#: Kinds of which each document is a file of its own, so that one that fails says nothing of others.
LISTED_BY_FILE = frozenset({"folder", "bucket"})

#: Kind of source to its reader, a function of source and intake in `twin.crawl.sources`: a new
#: kind gets a line here. Web sources are crawled together, see `_read`.
READERS = {
    "folder": ("folder", "read_folder"),
    "bucket": ("bucket", "read_bucket"),
    "github": ("github", "read_github"),
    "linkedin_export": ("linkedin_export", "read_linkedin_export"),
    "warehouse_dump": ("warehouse_dump", "read_warehouse_dump"),
}


@dataclass(frozen=True)
class CrawlOptions:
    """What a caller may ask of one crawl.

    Attributes:
        sources: names of the sources to crawl; none means all.
        copies: ``HOST=BASE_URL`` pairs added to the ``hosts`` of the recipe's web sources and of
            its repositories.
        full: read every page again, even where its bytes have not changed.
        links: pages or publications to crawl instead of the recipe's sources, or beside those
            of them that are named.
    """

    sources: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    full: bool = False
    links: tuple[str, ...] = ()


def crawl(job: Job, options: CrawlOptions) -> None:
    """Crawl the sources of the job's recipe.

    A source that fails does not stop the others, but fails the job when all are done.

    Raises:
        NothingToDo: every source is as it was when a crawl of it last ended well.
        BadDataError: a source gives nothing, or fails in a way that will not pass.
        TryAgainError: a site or the warehouse is away.
    """
    from twin.stores.warehouse import open_warehouse

    sources = chosen_sources(job, options)
    with open_warehouse(job.settings) as warehouse, ReaderProcess() as reader:
        warehouse.prepare()
        with ExitStack() as stack:
            intakes = [
                _intake(stack, job, warehouse, reader, source, options.full) for source in sources
            ]
            _read(job, intakes)
            for intake in intakes:
                intake.settle()
            errors = close_books(job, warehouse, intakes)
        _trim_snapshots(job, sources)
        report(job, warehouse, intakes)
    if errors:
        raise joined(errors)
    if not any(intake.has_news for intake in intakes):
        documents = sum(intake.tally.documents for intake in intakes)
        raise NothingToDo(f"all {documents} documents are as they were at the last crawl")


def _intake(
    stack: ExitStack,
    job: Job,
    warehouse: "Warehouse",
    reader: ReaderProcess,
    source: Source,
    full: bool,
) -> Intake:
    """The intake of a source, with a place for its raw pages."""
    author = job.recipe.author.id
    keeps = job.recipe.crawl.snapshots
    snapshots = stack.enter_context(open_snapshots(job.settings, author)) if keeps else None
    workspace = stack.enter_context(
        open_workspace(job.settings, author, source.name, job.run_id, snapshots)
    )
    recorder = None
    if snapshots is not None:
        recorder = Recorder(snapshots, workspace, source.name, job.run_id)
        stack.callback(recorder.close)
    return Intake(
        job, warehouse, source, full=full, read=reader.read_all, recorder=recorder,
        workspace=workspace, absences=Absences(after=job.recipe.crawl.gone_after),
    )  # fmt: skip


def _trim_snapshots(job: Job, sources: Sequence[Source]) -> None:
    """Drop raw pages of old crawls, as far as the recipe wants that; those of now are stored."""
    crawls = job.recipe.crawl.snapshot_crawls
    if crawls is None:
        return
    with open_snapshots(job.settings, job.recipe.author.id) as snapshots:
        for source in sources:
            if dropped := snapshots.trim(source.name, crawls):
                job.result.detail[f"{source.name}: raw pages of old crawls dropped"] = dropped


def _read(job: Job, intakes: Sequence[Intake]) -> None:
    """Each kind of source by its reader."""
    for intake in intakes:
        if intake.source.kind in READERS:
            module, function = READERS[intake.source.kind]
            read: Callable[[Any, Intake], None] = getattr(
                import_module(f"twin.crawl.sources.{module}"), function
            )
            read(intake.source, intake)
        if not isinstance(intake.source, SiteSource):
            _judge_listing(intake)
    sites = [(intake.source, intake) for intake in intakes if isinstance(intake.source, SiteSource)]
    if sites:
        from twin.crawl.web.crawl_sites import crawl_sites

        with job.progress("crawl sites", None) as advance:
            for _, intake in sites:
                intake.advance = advance
            crawl_sites(sites, job.recipe.crawl)


def close_books(job: Job, warehouse: "Warehouse", intakes: Sequence[Intake]) -> list[TwinError]:
    """Make live what came of sources whose crawl ended well, unite cross-posts, then close the
    books of settled intakes: which document of a text is the one to keep depends on what is gone
    and what is live, and is part of what the sources have.

    Returns:
        What is wrong with sources as a whole.
    """
    for intake in intakes:
        let_through(job, warehouse, intake.source.name, well=intake.error is None)
    order = [source.name for source in job.recipe.sources]
    found = unite_cross_posts(warehouse, job.recipe.author.id, order)
    job.result.detail["cross_posts"] = asdict(found)
    return [error for intake in intakes if (error := intake.close())]


def _judge_listing(intake: Intake) -> None:
    """Whether a source that is no web site has given all that it has.

    What is in a folder or bucket is all there is, and what was deleted there was deleted on
    purpose. Of the others, what could not be read may hold any number of documents.
    """
    has_all = intake.source.kind in LISTED_BY_FILE or not intake.tally.failed
    intake.absences.complete = has_all and not intake.entry_errors
    intake.absences.cut_short = intake.budget.cuts_short
    report_limits(intake.job, intake.source.name, intake.budget.left_out, intake.budget.stopped_by)
    if not isinstance(intake.source, GithubSource):
        intake.absences.after = 1


def chosen_sources(job: Job, options: CrawlOptions) -> list[Source]:
    """The recipe's sources that are to be crawled, with the caller's copies of hosts.

    Raises:
        BadDataError: a name that the recipe does not have, a malformed copy, a link that
            cannot be crawled.
    """
    known = {source.name: source for source in job.recipe.sources}
    for name in options.sources:
        if name not in known:
            raise BadDataError(
                f"no source {name!r} in recipe {job.recipe.name}: it has {', '.join(known)}"
            )
    names = options.sources or (() if options.links else known)
    chosen = [known[name] for name in names]
    linked = {source.name: source for source in map(source_of_link, options.links)}
    chosen += [_with_allowances(source, job.recipe.sources) for source in linked.values()]
    copies = _copies(options.copies)
    return [_with_copies(source, copies) for source in chosen]


def _with_allowances(source: Source, of: Sequence[Source]) -> Source:
    """A link's source with the copies and exceptions that the recipe's sources have."""
    if not isinstance(source, SiteSource):
        return source
    sites = [other for other in of if isinstance(other, SiteSource)]
    return source.model_copy(
        update={
            "hosts": {host: base for site in sites for host, base in site.hosts.items()},
            "allow_private": tuple(entry for site in sites for entry in site.allow_private),
        }
    )


def _copies(pairs: Sequence[str]) -> dict[str, str]:
    copies = {}
    for pair in pairs:
        host, _, base = pair.partition("=")
        if not host or urlsplit(base).scheme not in {"http", "https"}:
            raise BadDataError(
                f"--map-host {pair}: give HOST=BASE_URL, as example.org=http://127.0.0.1:8099"
            )
        copies[host] = base
    return copies


def _with_copies(source: Source, copies: dict[str, str]) -> Source:
    if not isinstance(source, SiteSource | GithubSource) or not copies:
        return source
    return source.model_copy(update={"hosts": {**source.hosts, **copies}})


def report(job: Job, warehouse: "Warehouse", intakes: Sequence[Intake]) -> None:
    """Put what became of each source's pages into the job's result."""
    author = job.recipe.author.id
    job.result.ids["author"] = author
    job.result.detail["sources"] = {intake.source.name: asdict(intake.tally) for intake in intakes}
    job.result.detail["documents"] = warehouse.live_count(author)
