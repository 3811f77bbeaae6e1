"""Commands of `twin author`."""

import re
from typing import Annotated

import typer

from twin.domain.errors import BadDataError, NothingToDo
from twin.job import plain_errors
from twin.settings import Settings, get_settings

app = typer.Typer(help="What the stores hold of an author.", no_args_is_help=True)

#: As recipes have it (`twin.recipes.section.Slug`).
_ID = re.compile(r"[a-z][a-z0-9-]{0,40}")


@app.callback()
def _group() -> None:
    """Keeps the command's name, of which there is one so far."""


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Name of a recipe, or an author's id.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; for scripts.")] = False,
) -> None:
    """Remove everything that was crawled and made of an author, after asking.

    Reads: the warehouse, the indexes, the file store, the model registry.

    Writes: removes the author's documents (and guests' that only this author's sources gave) with
    their history, raw pages, chunks, samples, pairs and backups. Versions of models that were
    trained on them are named, and stay: delete them in MLflow. So do notes of what was forgotten on
    demand, and the recipe: a later crawl brings the texts again. Run it when no job of the author
    runs.

    Killed in its middle, it is finished by running it again. Exits with 99 if nothing is there.
    """
    from twin.cli.author_removal import holdings
    from twin.cli.author_removal import remove as remove_all
    from twin.stores.audit import note_action

    with plain_errors("author remove"):
        settings = get_settings()
        author = _author(name, settings)
        found = holdings(settings, author)
        if found.is_empty:
            raise NothingToDo(f"the stores hold nothing of author {author}")
        typer.echo(f"Of author {author} there is:")
        for line in found.lines():
            typer.echo(f"  {line}")
        if not yes and typer.prompt("All of it goes. Type the author's id to remove it") != author:
            raise BadDataError(f"that is not {author}: nothing was removed")
        remove_all(settings, author, found, typer.echo)
        note_action(settings, "removed", f"author {author}", None, {"records": found.records})


def _author(name: str, settings: Settings) -> str:
    """The id of the author of a recipe, or that id itself."""
    from twin.recipes import load_recipe

    if (settings.recipes / f"{name}.yaml").is_file():
        return load_recipe(name, settings.recipes).author.id
    if not _ID.fullmatch(name):
        raise BadDataError(f"{name!r} is neither a recipe of {settings.recipes} nor an author's id")
    return name
