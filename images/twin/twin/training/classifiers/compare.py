"""What was trained of a recipe's classifiers, read from the file store."""

from pathlib import Path

from twin.domain.errors import BadDataError
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.classifiers import Classifiers
from twin.stores.files import open_files
from twin.training.classifiers.report import REPORT, ClassifierReport


def known_reports(recipe: Recipe, settings: Settings) -> list[ClassifierReport]:
    """The newest report of each encoder of each classifier, the best by validation first.

    Raises:
        BadDataError: the recipe has no classifier, or one of them is not trained.
    """
    if not recipe.training.classifiers:
        raise BadDataError(f"recipe {recipe.name} has no training.classifiers")
    kept = Classifiers(open_files(settings), recipe.name)
    made: list[ClassifierReport] = []
    for section in recipe.training.classifiers:
        versions = kept.compared(section.name)
        reports = [
            ClassifierReport.model_validate_json(kept.read_text(section.name, version, REPORT))
            for version in versions
        ]
        made += sorted(reports, key=lambda each: -each.validation.macro_f1)
    return made


def offered_folder(recipe: Recipe, settings: Settings, name: str) -> Path:
    """The folder, on this machine, of the classifier that is offered.

    Raises:
        BadDataError: none is, or its bytes are not what was published.
    """
    files = open_files(settings)
    kept = Classifiers(files, recipe.name)
    folder = kept.folder(name, kept.offered(name))
    return files.fetch_folder(folder, settings.models_root / "classifiers")
