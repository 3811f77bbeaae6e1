"""The recipes by name, read just as far as a DAG needs to."""

from typing import Any

from include.runtime import PROJECT

RECIPES = PROJECT / "include" / "recipes"
DEFAULT_RECIPE = "handbook"


def recipe_names() -> list[str]:
    """Names of all recipes, the default one first. Cheap: it lists a folder."""
    names = sorted(path.stem for path in RECIPES.glob("*.yaml"))
    return sorted(names, key=lambda name: name != DEFAULT_RECIPE)


def read_recipe(name: str) -> dict[str, Any]:
    """The recipe's YAML as it stands; the jobs check it.

    Raises:
        AirflowFailException: there is no such recipe, or it is no YAML mapping.
    """
    import yaml
    from airflow.sdk.exceptions import AirflowFailException

    path = RECIPES / f"{name}.yaml"
    if name not in recipe_names():
        raise AirflowFailException(f"no recipe {name!r}: there are {', '.join(recipe_names())}")
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise AirflowFailException(f"{path}: not YAML: {reason}") from None
    if not isinstance(recipe, dict):
        raise AirflowFailException(f"{path}: a recipe is a mapping")
    return recipe


def author_id(name: str) -> str:
    """Id of the recipe's author, by which the warehouse knows their documents.

    Raises:
        AirflowFailException: there is no such recipe, or it names no author.
    """
    from airflow.sdk.exceptions import AirflowFailException

    author = read_recipe(name).get("author")
    if not isinstance(author, dict) or not isinstance(author.get("id"), str):
        raise AirflowFailException(f"{RECIPES / name}.yaml: missing key 'author.id'")
    return str(author["id"])


def read_sources(name: str) -> list[dict[str, Any]]:
    """The recipe's sources, as they are written; each has a name.

    Raises:
        AirflowFailException: there is no such recipe, or it names no sources.
    """
    from airflow.sdk.exceptions import AirflowFailException

    sources = read_recipe(name).get("sources")
    items = sources if isinstance(sources, list) else []
    named = [item for item in items if isinstance(item, dict) and "name" in item]
    if not named or len(named) < len(items):
        raise AirflowFailException(f"{RECIPES / name}.yaml: sources: each needs a name")
    return named
