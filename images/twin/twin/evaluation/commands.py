"""Commands of `twin evaluation`."""

from typing import Annotated

import typer

from twin.job import Job, RecipeOption, ResultOption, RunIdOption, run_job

app = typer.Typer(help="Measure a candidate and decide on its promotion.", no_args_is_help=True)

VersionOption = Annotated[
    str | None,
    typer.Option("--model-version", help="Number of the version; unset means the candidate."),
]


@app.command()
def run(
    recipe: RecipeOption,
    run_id: RunIdOption = None,
    result: ResultOption = None,
    again: Annotated[
        bool, typer.Option("--again", help="Measure even what has been measured before.")
    ] = False,
) -> None:
    """Measure the candidate against base model and champion; promote it if the gate lets it pass.

    Reads the alias `candidate` (and `champion`) in the registry, their weights, the test split of
    the data set that the candidate was trained on, and the index. Writes a report (JSON, Markdown,
    plots) to the MLflow run and to <files>/reports/<model>/<version>/, tags on the version, and the
    alias `champion`. A refusal is a normal end (exit 0): the result says promoted: false and why.
    With evaluation.gate.require_approval a candidate that passed waits for `evaluation promote` or
    `evaluation reject`. Until then, the run that asked tells so again when it is repeated; other
    runs have nothing to do for a week, then one of them asks again.
    """

    def body(job: Job) -> None:
        from twin.evaluation.evaluate import evaluate

        evaluate(job, again=again)

    run_job("evaluation run", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def promote(
    recipe: RecipeOption,
    run_id: RunIdOption = None,
    result: ResultOption = None,
    model_version: VersionOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Whatever the gate said; recorded on the version.")
    ] = False,
) -> None:
    """Make a version that passed the gate champion; the old champion becomes `previous`.

    Reads the tags that `evaluation run` left on the version. Writes the aliases `champion` and
    `previous` in the registry; the rollout follows.
    """

    def body(job: Job) -> None:
        from twin.evaluation.promotion import promote as promote_version

        promote_version(job, model_version, force=force)

    run_job("evaluation promote", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def reject(
    recipe: RecipeOption,
    run_id: RunIdOption = None,
    result: ResultOption = None,
    model_version: VersionOption = None,
) -> None:
    """Record that a person did not approve a version: nobody is asked about it again.

    Reads and writes the tags of the version in the registry; the champion stays. Measured against
    another champion or by another gate the version is asked about anew, and `evaluation promote`
    takes it all the same.
    """

    def body(job: Job) -> None:
        from twin.evaluation.promotion import reject as reject_version

        reject_version(job, model_version)

    run_job("evaluation reject", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def report(
    recipe: RecipeOption,
    model_version: VersionOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole report as JSON.")] = False,
) -> None:
    """Show the report of a version that has been evaluated.

    Reads the registry's alias `candidate` and <files>/reports/<model>/<version>/report.json;
    writes nothing but to standard output.
    """
    from twin.evaluation.show_report import show_report
    from twin.job import plain_errors

    with plain_errors("evaluation report"):
        show_report(recipe, model_version, as_json=as_json)
