"""`twin datasets audit`: which data set, and by which limits."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from twin.datasets.audit import AuditReport, audit
from twin.datasets.audit_rows import Row, read_rows
from twin.datasets.read_version import open_version
from twin.domain.errors import BadDataError
from twin.models.embedder import load_embedder
from twin.rag.support import SupportVerifier
from twin.recipes import AuditSection, FeaturesSection, Recipe, RetrievalSection, load_recipe
from twin.settings import get_settings
from twin.stores.files import open_files


def run_audit(dataset: str, recipe_name: str | None) -> AuditReport:
    """Audit a file, a folder, or a published version of a recipe's samples.

    Raises:
        BadDataError: there is no such data set, or it holds no samples.
    """
    recipe = load_recipe(recipe_name, get_settings().recipes) if recipe_name else None
    path = Path(dataset)
    if path.exists():
        return _audit(read_rows(path), recipe)
    if recipe_name is None:
        raise BadDataError(f"{dataset}: no such file or folder; a version needs its --recipe")
    sets, pairs, version = open_version(recipe_name, dataset)
    folders = [sets.folder(version)]
    newest = pairs.newest(version)
    if newest is not None and pairs.manifest(version, newest).pairs:
        folders.append(pairs.folder(version, newest))
    files = open_files(get_settings())
    with tempfile.TemporaryDirectory(prefix="audit-") as scratch:
        fetched = [files.fetch_folder(folder, Path(scratch)) for folder in folders]
        return _audit([row for folder in fetched for row in read_rows(folder)], recipe)


def _audit(rows: Sequence[Row], recipe: Recipe | None) -> AuditReport:
    """By the recipe's limits and embedder; without a recipe by the defaults."""
    limits = recipe.audit if recipe else AuditSection()
    features = recipe.features if recipe else FeaturesSection()
    retrieval = recipe.retrieval if recipe else RetrievalSection()
    verifier = None
    if any(row.passages for row in rows):
        verifier = SupportVerifier(load_embedder(features.embedder, get_settings()))
    return audit(rows, limits, verifier=verifier, refusal=retrieval.dont_know)


def limits_passed(report: AuditReport) -> None:
    """End the command where a limit is passed.

    Raises:
        BadDataError: names the figures and their limits.
    """
    if report.failed:
        told = "; ".join(f"{each.name}: {each.value:g} > {each.limit:g}" for each in report.failed)
        raise BadDataError(f"{told}: mend the data, or raise the limit under audit")
