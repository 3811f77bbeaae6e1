"""The recipes by name, read just as far as a DAG needs to."""

from typing import Any

from include.job_resources import faults_of
from include.runtime import PROJECT, read_runtime

RECIPES = read_runtime().recipes
#: What `twin recipe schema` prints; a test holds it to that.
SCHEMA = PROJECT / "include" / "recipe.schema.json"
MOST_CHARACTERS = 240
DEFAULT_RECIPE = "handbook"


def recipe_names() -> list[str]:
    """Names of all recipes, the default one first. Cheap: it lists a folder."""
    names = sorted(path.stem for path in RECIPES.glob("*.yaml"))
    return sorted(names, key=lambda name: name != DEFAULT_RECIPE)


def recipe_states() -> dict[str, tuple[int, int]]:
    """Name of each recipe's file to when it was changed and its size. Reads none of them."""
    found = {}
    for path in RECIPES.glob("*.yaml"):
        try:
            state = path.stat()
        except FileNotFoundError:  # deleted just now
            continue
        found[path.name] = (state.st_mtime_ns, state.st_size)
    return found


def broken_recipes() -> dict[str, str]:
    """Name of each recipe that its jobs would refuse to why, as far as the schema tells."""
    faults = {}
    for name in recipe_names():
        if fault := _fault(name):
            faults[name] = fault
    return faults


def _fault(name: str) -> str | None:
    """What is wrong with a recipe, in one line; None if nothing is."""
    from airflow.sdk.exceptions import AirflowFailException

    try:
        recipe = read_recipe(name)
    except AirflowFailException as error:
        return str(error)
    validate, kinds = _validators()
    faults = [*_first(validate, recipe, ())]
    sources = recipe.get("sources")
    for number, source in enumerate(sources if isinstance(sources, list) else ()):
        kind = source.get("kind") if isinstance(source, dict) else None
        if kind in kinds:
            faults += _first(kinds[kind], source, ("sources", number))
        else:
            faults.append(f"sources.{number}.kind = {kind!r}: may be {', '.join(sorted(kinds))}")
    # Only of a recipe whose shape is right can be asked whether this cluster gives what it wants.
    faults = faults or faults_of(read_runtime(), recipe)
    return faults[0] if faults else None


def _validators() -> tuple[Any, dict[str, Any]]:
    """Of a whole recipe but for its sources, and of sources by their kind: a source is held to
    its own kind alone, so that what is said is about that."""
    import json

    from jsonschema import Draft202012Validator

    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    items = schema["properties"]["sources"]["items"]
    kinds = {
        kind: Draft202012Validator({"$defs": schema["$defs"], "$ref": reference})
        for kind, reference in items["discriminator"]["mapping"].items()
    }
    schema["properties"]["sources"]["items"] = {"type": "object"}
    return Draft202012Validator(schema), kinds


def _first(validator: Any, data: Any, place: tuple[str | int, ...]) -> list[str]:
    from jsonschema.exceptions import best_match

    error = best_match(validator.iter_errors(data))
    if error is None:
        return []
    where = ".".join(map(str, (*place, *error.absolute_path)))
    return [f"{where}: {error.message}"[:MOST_CHARACTERS] if where else error.message]


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


def has_rule(name: str, rule: str) -> bool:
    """Whether `monitoring.rules` of a recipe has this rule; its defaults count as having it.

    Raises:
        AirflowFailException: there is no such recipe, or it is no YAML mapping.
    """
    monitoring = read_recipe(name).get("monitoring")
    rules = monitoring.get("rules") if isinstance(monitoring, dict) else None
    return isinstance(rules, dict) and rules.get(rule) is not None


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
