"""`twin datasets show`, `diff` and `export`: from a recipe and a version to its samples."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from twin.datasets.differences import Difference, difference
from twin.datasets.export import Form, export
from twin.datasets.general import Mix
from twin.datasets.show import chosen_samples, render_sample
from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample, PreferencePair, Split
from twin.recipes import load_recipe
from twin.settings import get_settings
from twin.stores.champion_prompt import with_champion_prompt
from twin.stores.files import open_files
from twin.stores.pair_sets import PairSets
from twin.stores.sample_sets import SampleSets

LATEST = "latest"


def open_version(recipe_name: str, version: str) -> tuple[SampleSets, PairSets, str]:
    """The sample and pair sets of a recipe, and the name of a version that is there.

    Raises:
        BadDataError: there is no such recipe or version; names those that there are.
    """
    settings = get_settings()
    recipe = load_recipe(recipe_name, settings.recipes)
    files = open_files(settings)
    sets = SampleSets(files, recipe.name)
    name = sets.latest().version if version == LATEST else version
    if not sets.is_published(name):
        known = ", ".join(sets.versions()) or "none"
        raise BadDataError(f"recipe {recipe.name} has no samples {version}: there are {known}")
    return sets, PairSets(files, recipe.name), name


def read_samples(
    recipe: str,
    version: str,
    splits: Sequence[Split],
    kind: str | None,
    text: str | None,
    skip: int,
    count: int,
) -> list[str]:
    """Samples in Markdown; see `chosen_samples`.

    Raises:
        BadDataError: there is no such version, or no sample is so.
    """
    sets, pair_sets, name = open_version(recipe, version)
    pairs: dict[str, list[PreferencePair]] = defaultdict(list)
    for pair in pair_sets.newest_pairs(name):
        pairs[pair.sample_id].append(pair)
    chosen = chosen_samples(sets, name, splits=splits, kind=kind, text=text)
    shown = [
        render_sample(sample, pairs.get(sample.id, ()))
        for sample in islice(chosen, skip, skip + count)
    ]
    if not shown:
        raise BadDataError(f"version {name} has no such sample: leave out --kind, --text or --skip")
    return shown


def read_rejected(recipe: str, version: str, text: str | None, skip: int, count: int) -> list[str]:
    """The samples that gates left out of a version, in Markdown, each with its reason.

    Raises:
        BadDataError: there is no such version, or none is so.
    """
    sets, _, name = open_version(recipe, version)
    rows = (
        row
        for row in sets.rejected(name)
        if text is None or text.casefold() in f"{row['reason']}\n{row['instruction']}".casefold()
    )
    shown = [
        f"{row['reason']}{f' ({detail})' if (detail := row['detail']) else ''}\n\n"
        + render_sample(InstructSample.model_validate(row))
        for row in islice(rows, skip, skip + count)
    ]
    if not shown:
        raise BadDataError(f"of version {name} no such sample was left out by a gate")
    return shown


def compare_versions(recipe: str, before: str, after: str) -> Difference:
    """What changed from one version to another.

    Raises:
        BadDataError: one of them does not exist.
    """
    sets, pairs, old = open_version(recipe, before)
    *_, new = open_version(recipe, after)
    return difference(sets, pairs, old, new)


def export_version(
    recipe: str, version: str, form: Form, folder: Path, mix: Mix | None = None
) -> dict[str, int]:
    """Write a version in another form; see `export`."""
    sets, pairs, name = open_version(recipe, version)
    settings = get_settings()
    shown = with_champion_prompt(load_recipe(recipe, settings.recipes), settings)
    return export(sets, pairs, name, form, folder, mix, shown.prompt)
