"""Commands of `twin crawl`."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from twin.domain.terminal import printable
from twin.job import RecipeOption, ResultOption, RunIdOption, plain_errors, run_job
from twin.settings import get_settings

app = typer.Typer(
    help="Fetch what the author has published into the warehouse.", no_args_is_help=True
)


@app.command()
def run(
    recipe: RecipeOption,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="Crawl only this source of the recipe; may be repeated."),
    ] = None,
    link: Annotated[
        list[str] | None,
        typer.Option(
            "--link",
            metavar="URL",
            help="Crawl this instead of the recipe's sources: a post, or a whole publication, "
            "profile, feed or site; may be repeated.",
        ),
    ] = None,
    map_host: Annotated[
        list[str] | None,
        typer.Option(
            "--map-host",
            metavar="HOST=BASE_URL",
            help="Fetch this host's pages from a copy, e.g. "
            "example.org=http://127.0.0.1:8099; may be repeated. Documents keep their real URLs.",
        ),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read every page again, changed or not.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only say which addresses would be asked for, which are known, and what is left "
            "out and why. Lists and robots.txt are fetched; nothing is stored.",
        ),
    ] = False,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Crawl the recipe's sources.

    Reads: what the recipe names under `sources` (web sites, folders, buckets, repositories,
    exports and dumps), within the limits of `crawl`.

    Writes: documents, their revisions, and what had to be set aside (quarantine) to the warehouse.
    What a source gave is live once its crawl has ended well (`twin crawl accept`).

    Exits with 99 if every source is as it was at the last crawl.
    """
    # Imported here, so that `twin --help` does not wait for it.
    from twin.crawl.dry_run import dry_run as say_what_would_be
    from twin.crawl.run import CrawlOptions, crawl

    options = CrawlOptions(tuple(source or ()), tuple(map_host or ()), full, tuple(link or ()))
    run_job(
        "crawl run",
        lambda job: say_what_would_be(job, options) if dry_run else crawl(job, options),
        recipe=recipe,
        run_id=run_id,
        result=result,
    )


@app.command()
def accept(
    recipe: RecipeOption,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="Only what this source gave; may be repeated."),
    ] = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Make live what failed crawls have brought.

    What a crawl brings is live once it has ended well. One that fails (a source that yields little
    or nothing, more failed pages than crawl.max_failed_share) leaves it waiting for the next that
    does not, and no later stage reads it; `twin warehouse list --held` shows it. This command
    says that it is fine.

    Reads and writes: the warehouse.

    Exits with 99 if nothing waits.
    """
    from twin.crawl.accept import accept as accept_held

    run_job(
        "crawl accept",
        lambda job: accept_held(job, source or ()),
        recipe=recipe,
        run_id=run_id,
        result=result,
    )


@app.command()
def replay(
    recipe: RecipeOption,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="Replay only this source of the recipe; may be repeated."),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--since", help="Leave out pages that were fetched before (UTC)."),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read every page again, as after a change of readers.")
    ] = False,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Do again what crawls did, from the raw pages that they kept, without any network.

    Reads: the snapshots (WARC files) of the recipe's author.

    Writes: documents, their revisions and tombstones to the warehouse.

    Exits with 99 if that changes nothing.
    """
    from twin.crawl.replay import ReplayOptions, replay

    moment = since.replace(tzinfo=UTC) if since else None
    options = ReplayOptions(tuple(source or ()), moment, full)
    run_job(
        "crawl replay",
        lambda job: replay(job, options),
        recipe=recipe,
        run_id=run_id,
        result=result,
    )


@app.command()
def extract(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Saved HTML pages; .gz is read as well.")
    ],
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            help="Where the page is on the web: relative links are resolved against it. "
            "Without it, the page's own canonical URL is taken. Only with a single FILE.",
        ),
    ] = None,
) -> None:
    """Read the articles of saved pages, one line of JSON each, in the order of the files.

    Needs no recipe, no network and no warehouse: it shows what a crawl would make of a page.

    Each line has: path, url, title, subtitle, byline, published (ISO 8601), language, markdown
    (with links and images) and text (of the body alone, without any Markdown). A file that
    cannot be read has path and error instead, the others are read all the same, and the command
    exits with 65 at the end.

    The encoding is what the page declares (byte order mark, meta charset), else UTF-8, else
    Windows-1252.

    Example: twin crawl extract saved/*.html | jq -r .title
    """
    from twin.crawl.extract import extract_files

    if url is not None and len(files) > 1:
        raise typer.BadParameter("give one FILE with --url", param_hint="--url")
    raise typer.Exit(extract_files(files, url))


@app.command()
def forget(
    url: Annotated[
        str, typer.Argument(help="URL of the document, in any spelling.", metavar="URL")
    ],
    recipe: RecipeOption,
    reason: Annotated[
        str, typer.Option("--reason", help="Why; kept with the note that it is forgotten.")
    ] = "asked for",
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Erase a document for good: its texts, its chunks, and any later crawl of it.

    Reads: the warehouse, the sample sets, the model registry.

    Writes: a note that the URL is forgotten, which every later crawl and import heeds. Removes the
    document and its history from the warehouse, its raw pages from the snapshots, and its chunks
    from every kept release of every index; what people have said of its samples and pairs, and the
    candidate pairs of callers' feedback that it is part of. Cuts what evaluations quote of it out
    of their reports, here and in MLflow, and erases its test questions there and what judges have
    replied about it. Names the sample sets that hold it and the model versions trained on it, of
    any recipe: make new samples and train again to be rid of what these have learnt. Other pages
    that list or quote it stay. Backups and snapshots of the index made before still hold it; when
    one is restored, it is left out.

    Exits with 99 if nothing is left to erase.
    """
    from twin.crawl.forget import forget as forget_document

    run_job(
        "crawl forget",
        lambda job: forget_document(job, url, reason),
        recipe=recipe,
        run_id=run_id,
        result=result,
    )


@app.command()
def diff(
    recipe: RecipeOption,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="Only this source of the recipe; may be repeated."),
    ] = None,
    run_id: Annotated[
        str | None, typer.Option("--run-id", help="The crawl of this run instead of the last one.")
    ] = None,
    text: Annotated[
        bool, typer.Option("--text", help="Show how the texts differ, line by line.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Show what the last crawl added (+), changed (~), restored (^) and found gone (-).

    Reads: the warehouse. Writes: nothing.
    """
    from twin.crawl.diff import SIGNS, crawl_diffs, text_diff
    from twin.recipes import load_recipe
    from twin.stores.warehouse import open_warehouse

    settings = get_settings()
    with plain_errors("crawl diff"), open_warehouse(settings) as warehouse:
        loaded = load_recipe(recipe, settings.recipes)
        names = source or [one.name for one in loaded.sources]
        diffs = crawl_diffs(warehouse, loaded.name, names, run_id)
        if as_json:
            typer.echo(json.dumps([one.data() for one in diffs], ensure_ascii=False, indent=2))
            return
        for one in diffs:
            typer.echo(printable(one.head()))
            for change in one.changes:
                typer.echo(printable(f"{SIGNS[change.kind]} {change.title}  {change.url}"))
                for line in text_diff(warehouse, change) if text else ():
                    typer.echo(printable(line))


@app.command()
def browser(
    port: Annotated[int, typer.Option(help="Of loopback.", min=1, max=65_535)] = 9222,
) -> None:
    """Run the browser that crawls with TWIN_BROWSER_URL read pages in, apart from them.

    It reaches no network: a crawl answers what its pages ask for. Reads: TWIN_CHROMIUM. Writes:
    nothing that outlives it.
    """
    from twin.crawl.web.browser_apart import run_browser

    with plain_errors("crawl browser"):
        run_browser(get_settings().chromium, port)
