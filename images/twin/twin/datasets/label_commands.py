"""Commands of `twin datasets label`."""

from pathlib import Path
from typing import Annotated

import typer

from twin.domain.sample import Split
from twin.job import RecipeOption, plain_errors

app = typer.Typer(
    help="Have people judge samples in Label Studio, and take their verdicts.",
    no_args_is_help=True,
)

ProjectOption = Annotated[
    str | None,
    typer.Option("--project", help="Title of the project; by default LLM Twin: RECIPE."),
]


@app.command(name="export")
def export_samples(
    recipe: RecipeOption,
    version: Annotated[str, typer.Option("--version", help="Of the samples.")] = "latest",
    count: Annotated[int, typer.Option("--count", min=1, help="Samples to draw.")] = 200,
    split: Annotated[
        list[Split] | None, typer.Option("--split", help="Of this split; may be repeated.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="As `twin datasets show` has it.")
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", help="As `twin datasets show` has it.")
    ] = None,
    people: Annotated[
        int,
        typer.Option("--people", min=1, help="How many judge each sample, in a new project."),
    ] = 1,
    project: ProjectOption = None,
) -> None:
    """Put samples into a project of Label Studio, each once, however often this runs.

    The project is created if there is none, with a page that shows question, passages and answer
    and asks for a verdict: keep, reject with a reason, or edit. TWIN_LABEL_STUDIO_URL and
    TWIN_LABEL_STUDIO_TOKEN say where and as whom. Reads: the recipe's samples. Writes: the project.
    """
    from twin.datasets.label import Wanted, export_tasks

    with plain_errors("datasets label export"):
        wanted = Wanted(tuple(split or Split), kind, text, count)
        for line in export_tasks(recipe, version, wanted, project, people):
            typer.echo(line)


@app.command(name="import")
def import_project(
    recipe: RecipeOption,
    file: Annotated[
        Path | None,
        typer.Argument(help="The project's export as JSON; left out, the server is asked."),
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Take the verdicts that people have given; the next `twin datasets make` heeds them.

    Rejected samples are left out with the reason, as are those on which as many say one thing as
    another; an edited answer replaces the sample's; what is kept is neither drawn out nor changed.
    Prints how far people agree (Cohen's kappa). Ends with 99 if nothing has changed. Writes:
    datasets/RECIPE/verdicts.json.
    """
    from twin.datasets.label import import_verdicts

    with plain_errors("datasets label import"):
        for line in import_verdicts(recipe, file, project):
            typer.echo(line)
