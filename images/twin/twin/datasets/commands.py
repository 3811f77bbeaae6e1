"""Commands of `twin datasets`."""

from typing import Annotated

import typer

from twin.job import RecipeOption, ResultOption, RunIdOption, plain_errors, run_job

app = typer.Typer(help="Make training samples from the index.", no_args_is_help=True)


@app.command()
def make(recipe: RecipeOption, run_id: RunIdOption = None, result: ResultOption = None) -> None:
    """Make instruct samples and preference pairs from the recipe's chunks and written questions.

    Reads the recipe's index, the file that `datasets.written` names and, for the rejected texts,
    the base model. Writes
    datasets/RECIPE/VERSION/{instruct,preferences}/{train,validation,test}.parquet with a card
    (README.md) and manifest.json to the file store, and datasets/RECIPE/latest.json.
    """
    from twin.datasets.make import make_samples

    run_job("datasets make", make_samples, recipe=recipe, run_id=run_id, result=result)


@app.command()
def audit(
    dataset: Annotated[
        str,
        typer.Argument(
            help="A file or folder of samples, or a version of the recipe's, or latest."
        ),
    ],
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", help="Recipe by name or file: its versions, and its limits."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Look for what spoils training: copies, leaks, duplicates, placeholders, equal pairs, length.

    Reads any data set in Parquet, JSON Lines or JSON with the usual names of fields. Ends with 65
    where a limit of the recipe's section `audit` is passed. Writes: nothing.
    """
    from twin.datasets.audit import render_audit
    from twin.datasets.run_audit import limits_passed, run_audit

    with plain_errors("datasets audit"):
        report = run_audit(dataset, recipe)
        typer.echo(report.model_dump_json(indent=2) if as_json else render_audit(report))
        limits_passed(report)
