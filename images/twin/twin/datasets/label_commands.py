"""Commands of `twin datasets label`."""

from pathlib import Path
from typing import Annotated

import typer

from twin.domain.sample import Split
from twin.job import RecipeOption, plain_errors

app = typer.Typer(
    help="Have people judge samples and pairs in Label Studio, and take their verdicts.",
    no_args_is_help=True,
)

ProjectOption = Annotated[
    str | None,
    typer.Option(
        "--project",
        help="Title of the project; by default LLM Twin: RECIPE, of pairs LLM Twin pairs: RECIPE.",
    ),
]
VersionOption = Annotated[str, typer.Option("--version", help="Of the samples.")]
PeopleOption = Annotated[
    int, typer.Option("--people", min=1, help="How many judge each of them, in a new project.")
]


@app.command(name="export")
def export_samples(
    recipe: RecipeOption,
    version: VersionOption = "latest",
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
    people: PeopleOption = 1,
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


@app.command(name="export-pairs")
def export_pairs(
    recipe: RecipeOption,
    version: VersionOption = "latest",
    count: Annotated[int, typer.Option("--count", min=1, help="Pairs to draw.")] = 200,
    kind: Annotated[
        str | None,
        typer.Option("--kind", help="feedback: callers' candidates; model: a training's pairs."),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option("--text", help="Only what holds this in question, either text or document."),
    ] = None,
    people: PeopleOption = 1,
    project: ProjectOption = None,
) -> None:
    """Put preference pairs into a project of their own, each once, however often this runs.

    Its page shows question, passages and both texts, and what gates say against a candidate. Reads:
    the newest pairs of the samples, and the candidates of `twin datasets feedback`, which come
    first. Writes: the project.
    """
    from twin.datasets.label import Wanted, export_pair_tasks

    with plain_errors("datasets label export-pairs"):
        wanted = Wanted((), kind, text, count)
        for line in export_pair_tasks(recipe, version, wanted, project, people):
            typer.echo(line)


FileArgument = Annotated[
    Path | None,
    typer.Argument(help="The project's export as JSON; left out, the server is asked."),
]


@app.command(name="import")
def import_samples(
    recipe: RecipeOption, file: FileArgument = None, project: ProjectOption = None
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


@app.command(name="import-pairs")
def import_pairs(
    recipe: RecipeOption, file: FileArgument = None, project: ProjectOption = None
) -> None:
    """Take the verdicts on pairs; the next `twin training pairs` heeds them, as with samples.

    Candidates of callers' feedback that people keep or edit are trained on, whatever gates say
    against them; the others are not. Ends with 99 if nothing has changed. Writes:
    datasets/RECIPE/pair-verdicts.json.
    """
    from twin.datasets.label import import_verdicts

    with plain_errors("datasets label import-pairs"):
        for line in import_verdicts(recipe, file, project, on_pairs=True):
            typer.echo(line)
