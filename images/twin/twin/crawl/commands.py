"""Commands of `twin crawl`."""

from pathlib import Path
from typing import Annotated

import typer

from twin.job import RecipeOption, ResultOption, RunIdOption, run_job

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
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Crawl the recipe's sources.

    Reads: what the recipe names under `sources` (web sites, folders, buckets, repositories,
    exports and dumps), within the limits of `crawl`.

    Writes: documents, their revisions, and what had to be set aside (quarantine) to the warehouse.

    Exits with 99 if every source is as it was at the last crawl.
    """
    # Imported here, so that `twin --help` does not wait for it.
    from twin.crawl.run import CrawlOptions, crawl

    options = CrawlOptions(tuple(source or ()), tuple(map_host or ()), full, tuple(link or ()))
    run_job(
        "crawl run",
        lambda job: crawl(job, options),
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
    url: Annotated[str, typer.Argument(help="Canonical URL of the document.", metavar="URL")],
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
    document and its history from the warehouse, and its chunks from every kept release of the
    recipe's index. Names the sample sets that hold it and the model versions trained on it: make
    new samples and train again to be rid of what these have learnt. Backups made before still
    hold it; when one is restored, it is left out.

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
