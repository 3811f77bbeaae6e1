"""Commands of `twin serving feedback`."""

from pathlib import Path
from typing import Annotated

import typer

from twin.job import RecipeOption, plain_errors

app = typer.Typer(help="What callers think of answers.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps this a group while it has fewer than two commands."""


@app.command()
def export(
    recipe: RecipeOption,
    file: Annotated[Path, typer.Argument(help="Where to write; a file that is there is replaced.")],
) -> None:
    """Write a twin's answers that have feedback as JSON Lines, the oldest feedback first.

    Each line has the question, the answer, the chunks it was written from, and the feedback. `twin
    datasets feedback` makes candidates for preference pairs of the same answers. Reads: the
    warehouse.
    """
    from twin.recipes import load_recipe
    from twin.serving.feedback_export import export_feedback
    from twin.settings import get_settings

    with plain_errors("serving feedback export"):
        settings = get_settings()
        loaded = load_recipe(recipe, settings.recipes, settings.overrides)
        number = export_feedback(settings, loaded.model_name, file)
        typer.echo(f"{file}: {number:,} answers with feedback")
