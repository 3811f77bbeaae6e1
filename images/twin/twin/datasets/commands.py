"""Commands of `twin datasets`."""

import typer

from twin.datasets.make import make_samples
from twin.job import RecipeOption, ResultOption, RunIdOption, run_job

app = typer.Typer(help="Make training samples from the index.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps this a group while it has fewer than two commands."""


@app.command()
def make(recipe: RecipeOption, run_id: RunIdOption = None, result: ResultOption = None) -> None:
    """Make instruct samples and preference pairs from the recipe's chunks.

    Reads the recipe's index and, for the rejected texts, the base model. Writes
    datasets/RECIPE/VERSION/{instruct,preferences}/{train,validation,test}.parquet with a card
    (README.md) and manifest.json to the file store, and datasets/RECIPE/latest.json.
    """
    run_job("datasets make", make_samples, recipe=recipe, run_id=run_id, result=result)
