"""`twin <stage> <job>`: the only way into the jobs."""

import os

# Before anything imports a model library: jobs never ask a model hub unless told to.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# MLflow reports usage to its makers unless this is set before it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from collections import UserDict
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from twin.cli import audit, doctor, export, lineage
from twin.settings import get_settings

#: Stage to the module of its commands, which is imported when the stage is asked for.
STAGES = {
    "recipe": "twin.cli.recipe",
    "author": "twin.cli.author",
    "crawl": "twin.crawl.commands",
    "warehouse": "twin.stores.warehouse_commands",
    "models": "twin.models.bases.commands",
    "features": "twin.features.commands",
    "datasets": "twin.datasets.commands",
    "training": "twin.training.commands",
    "evaluation": "twin.evaluation.commands",
    "rollout": "twin.rollout.commands",
    "serving": "twin.serving.commands",
    "monitoring": "twin.monitoring.commands",
    "rag": "twin.rag.commands",
    "backup": "twin.backup.commands",
    "laptop": "twin.laptop.commands",
}


class _Commands(UserDict[str, Any]):
    """Name to command; a stage stands as the name of its module until it is first looked up."""

    def __getitem__(self, name: str) -> Any:
        command = super().__getitem__(name)
        if isinstance(command, str):
            whole = typer.Typer()
            whole.add_typer(import_module(command).app, name=name)
            command = self.data[name] = get_group(whole).commands[name]
        return command


class _Stages(TyperGroup):
    """The commands and, with them, the stages; only the one that is asked for is imported."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands({**self.commands, **STAGES})

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - of the base class
        """Names of all, in their order."""
        return list(self.commands)


app = typer.Typer(
    name="twin",
    cls=_Stages,
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


app.command()(audit.audit)
app.command()(doctor.doctor)
app.command()(export.export)
app.command()(lineage.lineage)


def main() -> None:
    """Entry point of the `twin` command."""
    app()


if __name__ == "__main__":
    main()
