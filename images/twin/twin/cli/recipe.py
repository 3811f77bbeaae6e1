"""Commands of `twin recipe`: write one, check it, and the JSON schema that editors use."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from twin.domain.errors import BadDataError
from twin.job import plain_errors
from twin.recipes import Recipe, Source, load_recipe
from twin.settings import get_settings

app = typer.Typer(help="Write and check recipes, one YAML file per twin.", no_args_is_help=True)

HEADER = """\
# A twin of {author}. `twin recipe check {name}` checks this file; every key and its default:
# `twin recipe schema`.
"""


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the twin, e.g. ada: a-z, 0-9 and dashes.")],
    links: Annotated[
        list[str],
        typer.Argument(help="Where the author publishes: a site, a feed, Substack, Medium …"),
    ],
    author: Annotated[str, typer.Option(help="The author's name as the texts are signed.")],
) -> None:
    """Write a recipe for an author from links; defaults do the rest.

    Reads: nothing. Writes: NAME.yaml in the folder of recipes (TWIN_RECIPES), never over a file.
    """
    with plain_errors("recipe new"):
        path = get_settings().recipes / f"{name}.yaml"
        _write(path, _recipe_of(name, author, links))
    print(f"{path}: written; next: twin recipe check {name}, then make demo RECIPE={name}")


@app.command()
def check(
    recipes: Annotated[list[str], typer.Argument(help="Recipes by name or file.")],
) -> None:
    """Check recipes and say what each describes. Exits with 65 at the first that is wrong."""
    with plain_errors("recipe check"):
        for name in recipes:
            print(_summary(load_recipe(name, get_settings().recipes)))


@app.command()
def schema() -> None:
    """Print the JSON schema of recipes.

    An editor checks and completes a recipe whose first line is
    `# yaml-language-server: $schema=recipe.schema.json`.
    """
    print(json.dumps({"title": "LLM Twin recipe", **Recipe.model_json_schema()}, indent=2))


def _recipe_of(name: str, author: str, links: list[str]) -> dict[str, Any]:
    from twin.crawl.sources.by_url import source_of_link

    sources = [_fields(source_of_link(link)) for link in links]
    return {"name": name, "author": {"id": name, "name": author}, "sources": sources}


def _fields(source: Source) -> dict[str, Any]:
    """What a person would write: kind and name first, and nothing that is the default."""
    given = source.model_dump(mode="json", exclude_defaults=True)
    return {"kind": source.kind, "name": source.name, **given}


def _write(path: Path, data: dict[str, Any]) -> None:
    text = HEADER.format(author=data["author"]["name"], name=data["name"])
    text += yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise BadDataError(f"{path} exists: choose another name, or edit that file") from None
    try:
        load_recipe(str(path), path.parent)
    except BadDataError:
        path.unlink()
        raise


def _summary(recipe: Recipe) -> str:
    sources = ", ".join(f"{source.name} ({source.kind})" for source in recipe.sources)
    return (
        f"{recipe.name}: fine. Author {recipe.author.name}; sources {sources}; base model "
        f"{recipe.training.base_model}; served as {recipe.model_name} by {recipe.serving.engine}"
    )
