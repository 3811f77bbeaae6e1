"""Finding, reading and checking a recipe's file."""

import difflib
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ValidationError

from twin.domain.errors import BadDataError
from twin.recipes.changes import TRAINING, parse_changes
from twin.recipes.places import FOLDER
from twin.recipes.recipe import Recipe
from twin.recipes.sources import SOURCE_KINDS


def find_recipe(name_or_path: str, folder: Path) -> Path:
    """The file of a recipe given by path, or by name within ``folder``.

    Raises:
        BadDataError: no such file; the message lists the recipes there are.
    """
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} and path.is_file():
        return path
    path = folder / f"{name_or_path}.yaml"
    if path.is_file():
        return path
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    close = difflib.get_close_matches(name_or_path, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise BadDataError(
        f"no recipe {name_or_path!r}: {hint}give a file, or one of {folder}/: "
        f"{', '.join(known) or 'none'}"
    )


def load_recipe(
    name_or_path: str,
    folder: Path,
    overrides: Path | None = None,
    changes: Sequence[str] = (),
    stage: str = TRAINING,
) -> Recipe:
    """Read and check a recipe.

    Args:
        name_or_path: a file, or a name within ``folder``.
        folder: of the recipes.
        overrides: a folder whose file ``NAME.yaml``, if there is one, says what is different on
            this machine, key by key; its paths are relative to the recipe's file as well.
        changes: what is different in this run (`twin.recipes.changes`).
        stage: that runs, whose section the changes are of.

    Raises:
        BadDataError: in one line: file, key, and what is allowed.
    """
    own = path = find_recipe(name_or_path, folder)
    data = _mapping(path)
    different = overrides / f"{data.get('name')}.yaml" if overrides is not None else None
    if different is not None and different.is_file():
        data = _overridden(data, _mapping(different))
        path = different
    data = _overridden(data, parse_changes(changes, stage))
    try:
        return Recipe.model_validate(data, context={FOLDER: own.absolute().parent})
    except ValidationError as error:
        where = f"{path} with --set {', '.join(changes)}" if changes else path
        raise BadDataError(f"{where}: {_explain(error)}") from None


def _mapping(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadDataError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise BadDataError(f"{path}: a recipe is a mapping with the keys {_keys_of(Recipe)}")
    return data


def _overridden(data: dict[str, Any], different: dict[str, Any]) -> dict[str, Any]:
    """``data`` with the values of ``different``; mappings are merged, anything else replaced."""
    merged = dict(data)
    for key, value in different.items():
        known: Any = merged.get(key)
        both = isinstance(known, dict) and isinstance(value, dict)
        merged[key] = _overridden(known, value) if both else value
    return merged


def _explain(error: ValidationError) -> str:
    """The first three faults; a list that is short only for its faulty items is not one."""
    faults = error.errors()
    inner = {fault["loc"][:1] for fault in faults if len(fault["loc"]) > 1}
    shown = [
        fault for fault in faults if fault["type"] != "too_short" or fault["loc"][:1] not in inner
    ]
    return "; ".join(_explain_one(fault) for fault in shown[:3])


def _explain_one(item: Any) -> str:
    # Behind a source's number pydantic names its kind, which is no key.
    before = (None, *item["loc"])
    location = [
        part
        for part, last in zip(item["loc"], before, strict=False)
        if not (isinstance(last, int) and part in SOURCE_KINDS)
    ]
    key = ".".join(str(part) for part in location) or "recipe"
    if item["type"] == "extra_forbidden":
        section = _section_at(item["loc"][:-1])
        close = difflib.get_close_matches(str(item["loc"][-1]), section.model_fields, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return f"unknown key {key!r}: {hint}allowed are {_keys_of(section)}"
    if item["type"] == "missing":
        return f"missing key {key!r}"
    message = item["msg"].removeprefix("Value error, ").replace("Input should", "should")
    return f"{key} = {item['input']!r:.60}: {message}" if location else message


def _keys_of(section: type[BaseModel]) -> str:
    return ", ".join(section.model_fields)


def _section_at(location: tuple[int | str, ...]) -> type[BaseModel]:
    """The model that owns ``location``; walks unions by the discriminator pydantic reports."""
    section: type[BaseModel] = Recipe
    for part in location:
        if part in section.model_fields:
            section = _model_in(section.model_fields[str(part)].annotation) or section
        else:
            section = SOURCE_KINDS.get(str(part), section)
    return section


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in {tuple, dict, types.UnionType, Annotated}:
        for argument in typing.get_args(annotation):
            if found := _model_in(argument):
                return found
    return None
