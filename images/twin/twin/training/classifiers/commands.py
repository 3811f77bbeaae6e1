"""Commands of `twin training classifier`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twin.domain.errors import BadConfigurationError
from twin.job import Job, RecipeOption, ResultOption, RunIdOption, plain_errors, run_job
from twin.recipes import load_recipe
from twin.settings import get_settings

if TYPE_CHECKING:
    from twin.training.classifiers.report import ClassifierReport

app = typer.Typer(
    help="Train classifiers on labelled texts (topic, quality, sentiment, safety).",
    no_args_is_help=True,
)

NameOption = Annotated[
    str | None,
    typer.Option("--name", help="Of training.classifiers; not given: all of them."),
]


@app.command()
def fit(
    recipe: RecipeOption,
    name: NameOption = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder that the best classifier of --name is written to as well."),
    ] = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Fine-tune the encoders of training.classifiers on their labelled texts.

    Texts of one group are in one split. Training stops by validation, the best encoder is chosen
    by it, and the test split tells what it is worth beside the most frequent label and a linear
    model of words. A folder goes to `model` of serving.guardrails.classifiers or
    datasets.gates.classifiers.

    Reads: the corpora and the encoders. Writes: classifiers/RECIPE/NAME/VERSION in the file store
    (safetensors, card, report, confusion matrix), and an MLflow run each. Killed, it goes on from
    the last checkpoint. Ends with 99 when all are trained.
    """
    if out is not None and name is None:
        with plain_errors("training classifier fit"):
            raise BadConfigurationError("--out needs --name: it is one classifier's folder")

    def body(job: Job) -> None:
        from twin.training.classifiers.fit import fit_classifiers

        fit_classifiers(job, name, out)

    run_job("training classifier fit", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def compare(
    recipe: RecipeOption,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show what each encoder and each baseline is worth on each corpus of the recipe.

    Reads: the reports that `fit` has written; what is not trained is named. Writes: nothing.
    """
    import json

    from twin.training.classifiers.card import compare_table
    from twin.training.classifiers.compare import known_reports

    with plain_errors("training classifier compare"):
        settings = get_settings()
        reports = known_reports(load_recipe(recipe, settings.recipes), settings)
    if as_json:
        print(json.dumps([each.model_dump(mode="json") for each in reports], indent=2))
        return
    print(compare_table(reports))
    _print_gains(reports)


@app.command()
def predict(
    texts: Annotated[Path, typer.Argument(help="JSON Lines with a text each.")],
    out: Annotated[Path, typer.Option(help="File that the labelled lines are written to.")],
    model: Annotated[Path | None, typer.Option(help="Folder of a classifier.")] = None,
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", help="Recipe that has trained --name."),
    ] = None,
    name: NameOption = None,
) -> None:
    """Label the texts of a file.

    Reads: the file, and a classifier (`--model FOLDER`, or `--recipe` with `--name`). Writes: the
    same lines with `label`, `probabilities` and, where a threshold was chosen, `alarm`.
    """
    from rich.console import Console
    from rich.progress import Progress

    from twin.models.text_classifier import TextClassifier
    from twin.training.classifiers.compare import offered_folder
    from twin.training.classifiers.predict import predict_file

    with plain_errors("training classifier predict"):
        if model is None:
            if recipe is None or name is None:
                raise BadConfigurationError("give --model, or --recipe and --name")
            settings = get_settings()
            model = offered_folder(load_recipe(recipe, settings.recipes), settings, name)
        classifier = TextClassifier(model)
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("texts labelled", total=None)
            count = predict_file(classifier, texts, out, lambda done: bar.advance(task, done))
    print(f"{count} texts: {out}")


def _print_gains(reports: "list[ClassifierReport]") -> None:
    for each in reports:
        if each.gain is not None:
            print(
                f"{each.name}, {each.encoder}: accuracy {each.gain.value:+.1%} "
                f"({each.gain.low:+.1%} to {each.gain.high:+.1%}) over words"
            )
