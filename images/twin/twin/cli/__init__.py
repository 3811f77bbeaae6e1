"""`twin <stage> <job>`: the only way into the jobs."""

import os

# Before anything imports a model library: jobs never ask a model hub unless told to.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# MLflow reports usage to its makers unless this is set before it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from typing import Annotated

import typer

from twin.backup import commands as backup
from twin.cli import audit, author, doctor, recipe
from twin.crawl import commands as crawl
from twin.datasets import commands as datasets
from twin.evaluation import commands as evaluation
from twin.features import commands as features
from twin.laptop import commands as laptop
from twin.models.bases import commands as models
from twin.rag import commands as rag
from twin.rollout import commands as rollout
from twin.serving import commands as serving
from twin.settings import get_settings
from twin.stores import warehouse_commands as warehouse
from twin.training import commands as training

app = typer.Typer(
    name="twin",
    help="LLM Twin: crawl an author's writing, index it, train a twin on it, prove it, serve it.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"twin {get_settings().code_version}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Keeps `--version` beside the stages."""


for name, stage in {
    "recipe": recipe,
    "author": author,
    "crawl": crawl,
    "warehouse": warehouse,
    "models": models,
    "features": features,
    "datasets": datasets,
    "training": training,
    "evaluation": evaluation,
    "rollout": rollout,
    "serving": serving,
    "rag": rag,
    "backup": backup,
    "laptop": laptop,
}.items():
    app.add_typer(stage.app, name=name)
app.command()(audit.audit)
app.command()(doctor.doctor)


def main() -> None:
    """Entry point of the `twin` command."""
    app()


if __name__ == "__main__":
    main()
