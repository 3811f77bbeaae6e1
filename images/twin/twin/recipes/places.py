"""Places on this machine that a recipe names, relative to the recipe's own file.

So a recipe and its files can be moved together, and whoever starts a job may do so from anywhere.
The loader says where the file lies; a recipe that comes from no file is taken as it is.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo

#: Key of pydantic's context: the folder of the recipe's file.
FOLDER = "folder"
#: What descriptions in the recipe's schema say of such places.
RELATIVE = "relative to the recipe's file"
#: What an error says of a place that is not there.
BESIDE_RECIPE = f"(paths in a recipe are {RELATIVE})"


def _folder(info: ValidationInfo) -> Path | None:
    context: dict[str, Any] = info.context or {}
    return context.get(FOLDER)


def _beside_recipe(path: Path, info: ValidationInfo) -> Path:
    folder = _folder(info)
    return path if folder is None else (folder / path).resolve()


def _model_beside_recipe(name: str, info: ValidationInfo) -> str:
    """A model's name, unless it is that of a folder: then its whole path, with what follows it.

    The name of a packaged model is no path, and one of the hub only if there is such a folder.
    """
    folder = _folder(info)
    path, colon, rest = name.partition(":")
    if folder is None or "/" not in path or rest.startswith("//"):
        return name
    place = (folder / path).resolve()
    is_place = place.is_dir() or path.startswith(("./", "../"))
    return f"{place}{colon}{rest}" if is_place else name


LocalPath = Annotated[Path, AfterValidator(_beside_recipe)]
ModelName = Annotated[str, AfterValidator(_model_beside_recipe)]
