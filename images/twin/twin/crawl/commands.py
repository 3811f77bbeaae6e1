"""Commands of `twin crawl`."""

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

    options = CrawlOptions(tuple(source or ()), tuple(map_host or ()), full)
    run_job(
        "crawl run",
        lambda job: crawl(job, options),
        recipe=recipe,
        run_id=run_id,
        result=result,
    )


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
