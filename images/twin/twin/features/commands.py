"""Commands of `twin features`."""

from typing import Annotated

import typer

from twin.job import Job, RecipeOption, ResultOption, RunIdOption, run_job

app = typer.Typer(help="Turn documents into a searchable index of chunks.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps this a group while it has fewer than two commands."""


@app.command()
def build(
    recipe: RecipeOption,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make the index anew from nothing.")
    ] = False,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Clean, chunk and embed new and changed documents; remove those that are gone.

    Reads: the author's live documents in the warehouse, and the recipe's part `features`.
    Writes: a new release of the recipe's index, published at one moment at the end.
    Ends with 99, nothing to do, when the index already matches the warehouse.
    """

    def body(job: Job) -> None:
        from twin.features.build import build as build_index

        build_index(job, rebuild=rebuild)

    run_job("features build", body, recipe=recipe, run_id=run_id, result=result)
