"""The warehouse from raw snapshots, with no network: after a loss, or with better readers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from twin.crawl.intake import Intake
from twin.crawl.page import ARTICLE_TYPE, Page, article_of_json
from twin.crawl.reader_process import ReaderProcess
from twin.crawl.recorder import page_of
from twin.crawl.run import CrawlOptions, chosen_sources, close_books, report
from twin.crawl.tally import joined
from twin.domain.errors import BadDataError, NothingToDo
from twin.job import Job
from twin.recipes import Source
from twin.stores.snapshots import Snapshots, open_snapshots
from twin.stores.warc import CRAWL_SCHEME, Entry


@dataclass(frozen=True)
class ReplayOptions:
    """What a caller may ask of a replay.

    Attributes:
        sources: names of the sources to replay; none means all.
        since: pages that were fetched before are left out.
        full: read every page again, even if the warehouse knows what these readers made of it.
    """

    sources: tuple[str, ...] = ()
    since: datetime | None = None
    full: bool = False


def replay(job: Job, options: ReplayOptions) -> None:
    """Do again what crawls did with the pages that they fetched, in their order and at their times.

    An empty warehouse ends up with the documents, revisions and tombstones that the crawls gave.
    In one that has them only the newest snapshot of each page counts, so documents never go back
    to an older text on the way.

    Raises:
        NothingToDo: the warehouse is what the snapshots and these readers make it.
        BadDataError: a source has no snapshots, or they are damaged.
        TryAgainError: the warehouse or the snapshots are away.
    """
    from twin.stores.warehouse import open_warehouse

    sources = chosen_sources(job, CrawlOptions(options.sources))
    author = job.recipe.author.id
    with (
        open_warehouse(job.settings) as warehouse,
        open_snapshots(job.settings, author) as snapshots,
        ReaderProcess() as reader,
    ):
        warehouse.prepare()
        intakes = []
        for source in sources:
            intake = Intake(
                job, warehouse, source, full=options.full, read=reader.read_all,
                recorder=_Played(snapshots, source),
            )  # fmt: skip
            intake.claims.patient = True
            intakes.append(intake)
            _replay_source(intake, snapshots, options.since)
        failed = close_books(job, warehouse, intakes)
        report(job, warehouse, intakes)
    if failed:
        raise joined(failed)
    if not any(intake.has_news for intake in intakes):
        raise NothingToDo("all documents are as their snapshots make them")


class _Played:
    """Stands where a crawl's recorder stands: the pages are in snapshots already."""

    def __init__(self, snapshots: Snapshots, source: Source) -> None:
        self.names = frozenset(snapshots.names(source.name))
        self.body = ("", datetime.min)

    def record(self, *_: object) -> tuple[str, datetime]:
        return self.body

    def unchanged(self, *_: object) -> None:
        raise NotImplementedError("no server is asked in a replay")

    def conclude(self, *_: object) -> None:
        pass  # it has been written


def _replay_source(intake: Intake, snapshots: Snapshots, since: datetime | None) -> None:
    """Replay one source."""
    source = intake.source.name
    entries = list(snapshots.entries(source))
    bodies = {(one.url, one.at): one for one in entries if one.type in {"response", "resource"}}
    wanted = [one for one in entries if since is None or one.at >= since]
    if not wanted:
        since_then = f" since {since:%Y-%m-%d}" if since else ""
        intake.entry_errors.append(
            BadDataError(
                f"source {source!r}: no snapshots{since_then} under "
                f"{intake.job.settings.snapshots_root}: a crawl makes them (crawl.snapshots)"
            )
        )
    last = max((one.at for one in wanted), default=None)
    with intake.job.progress(f"replay {source}", len(wanted)) as advance:
        for entry in wanted:
            if entry.is_page:
                _replay_page(intake, snapshots, bodies, entry)
            elif entry.url.startswith(CRAWL_SCHEME):
                _replay_note(intake, snapshots, entry)
            advance(1)
    for url in intake.misled():
        _replay_alone(intake, snapshots, bodies, url)
    intake.settle(last)


def _replay_page(
    intake: Intake, snapshots: Snapshots, bodies: Mapping[Any, Entry], entry: Entry
) -> None:
    source, known = intake.source.name, intake.pages.get(entry.url)
    if known is not None and known.fetched > entry.at:
        return  # the warehouse knows what the page has become since
    body = bodies.get((entry.url, entry.refers_to or entry.at))
    if body is None:
        intake.fail(entry.url, f"its snapshot of {entry.refers_to:%Y-%m-%d %H:%M} is lost")
        return
    if entry is not body and intake.stands(entry.url, body.at, entry.at):
        return
    try:
        full = snapshots.read(source, body)
        capture = full if entry is body else snapshots.read(source, entry)
    except BadDataError as error:
        intake.fail(entry.url, str(error))
        return
    page = page_of(full, capture.facts or full.facts, full.body)
    assert isinstance(intake.recorder, _Played)  # noqa: S101 - `replay` gave it
    intake.recorder.body = (body.file, body.at)
    if page.media_type == ARTICLE_TYPE:
        read = partial(article_of_json, page.body)
        intake.take_article(page.url, page.body, read, expected=page.expected, fetched=entry.at)
        return
    intake.take(_at(page, entry.at))


def _replay_alone(
    intake: Intake, snapshots: Snapshots, bodies: Mapping[Any, Entry], url: str
) -> None:
    """Take a page once more that a crawl, which ended early, has not asked for again."""
    known = intake.pages.get(url)
    body = known and bodies.get((url, known.captured))
    if not known or not body:
        return
    full = snapshots.read(intake.source.name, body)
    page = page_of(full, {**full.facts, "stands_alone": True}, full.body)
    intake.take(_at(page, known.fetched))


def _at(page: Page, when: datetime) -> Page:
    return Page(**{**page.__dict__, "fetched": when})


def _replay_note(intake: Intake, snapshots: Snapshots, entry: Entry) -> None:
    """Documents that a crawl found gone are gone, unless they have been seen since."""
    note = json.loads(snapshots.read(intake.source.name, entry).body)
    urls = intake.pages.urls_of_documents()
    gone = {}
    for identity in note.get("gone", ()):
        pages = [page for url in urls.get(identity, ()) if (page := intake.pages.get(url))]
        seen = [page.fetched for page in pages if page.outcome == "stored"]
        if max(seen, default=entry.at) <= entry.at:
            gone[identity] = entry.at
    if gone:
        intake.bury(gone)
