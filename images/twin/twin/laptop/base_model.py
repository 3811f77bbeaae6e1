"""Another base model for a demo: fetched, checked against this machine, named in an override."""

from contextlib import suppress
from pathlib import Path

import yaml
from rich.console import Console

from twin.models.bases.base_models import prepare_base_model
from twin.models.bases.catalogue import CATALOGUE
from twin.models.bases.commands import progress_bar
from twin.models.bases.fetch import fetch_base_model, find_kept, open_source, staging_cache
from twin.models.bases.kept import KeptBases
from twin.models.bases.memory import PLATFORM, check_memory
from twin.recipes import Recipe
from twin.settings import Settings, get_settings
from twin.stores.files import open_files


def use_base_model(recipe: Recipe, model: str | None, settings: Settings, console: Console) -> None:
    """Let every job of this platform take ``model`` as the recipe's base; None: the recipe's own.

    What the recipe's file says stays: the difference is written to ``overrides/`` in the
    platform's home.

    Raises:
        BadDataError: there is no such model, it is no base, or this machine can't hold it.
        BadConfigurationError: it is gated, or a token is refused.
        TryAgainError: the model hub does not answer, or there is no space left.
    """
    override = settings.overrides / f"{recipe.name}.yaml"
    if model is None:
        with suppress(FileNotFoundError):
            override.unlink()
        return
    # The platform's settings take nothing from the environment; the token is the person's own.
    settings = settings.model_copy(update={"hub_token": get_settings().hub_token})
    name = _name(model, settings)
    console.print(f"base model: {name}")
    override.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump({"training": {"base_model": name}})
    override.write_text(f"# Written by `make demo MODEL={model}`.\n{text}", encoding="utf-8")


def _name(model: str, settings: Settings) -> str:
    """What jobs call the model, which is on this machine and can be held by it."""
    if model in CATALOGUE:
        check_memory(model, CATALOGUE[model].size, PLATFORM)
        return model
    if Path(model).is_dir():
        folder = prepare_base_model(model, settings)
        check_memory(model, _weights(folder), PLATFORM)
        return str(folder)
    known = find_kept(model, KeptBases(open_files(settings)))
    if known is None:
        # Before gigabytes come.
        source = open_source(model, settings, staging_cache(settings), None)
        check_memory(model, source.size, PLATFORM)
        known, _ = fetch_base_model(model, settings, progress=progress_bar)
    check_memory(known.name, known.size, PLATFORM)
    return known.name


def _weights(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
