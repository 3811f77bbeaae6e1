"""`twin datasets audit`: which data set, and by which limits."""

import tempfile
from pathlib import Path

from twin.datasets.audit import AuditReport, audit
from twin.datasets.audit_rows import read_rows
from twin.datasets.read_version import open_version
from twin.domain.errors import BadDataError
from twin.recipes import AuditSection, load_recipe
from twin.settings import get_settings
from twin.stores.files import open_files


def run_audit(dataset: str, recipe_name: str | None) -> AuditReport:
    """Audit a file, a folder, or a published version of a recipe's samples.

    Raises:
        BadDataError: there is no such data set, or it holds no samples.
    """
    settings = get_settings()
    recipe = load_recipe(recipe_name, settings.recipes) if recipe_name else None
    limits = recipe.audit if recipe else AuditSection()
    path = Path(dataset)
    if path.exists():
        return audit(read_rows(path), limits)
    if recipe_name is None:
        raise BadDataError(f"{dataset}: no such file or folder; a version needs its --recipe")
    sets, version = open_version(recipe_name, dataset)
    with tempfile.TemporaryDirectory(prefix="audit-") as scratch:
        folder = open_files(settings).fetch_folder(sets.folder(version), Path(scratch))
        return audit(read_rows(folder), limits)


def limits_passed(report: AuditReport) -> None:
    """End the command where a limit is passed.

    Raises:
        BadDataError: names the figures and their limits.
    """
    if report.failed:
        told = "; ".join(f"{each.name}: {each.value:g} > {each.limit:g}" for each in report.failed)
        raise BadDataError(f"{told}: mend the data, or raise the limit under audit")
