"""`twin evaluation report`: a kept report on standard output."""

from rich.console import Console

from twin.domain.errors import BadDataError
from twin.evaluation.report import read_report
from twin.evaluation.report_markdown import terminal
from twin.recipes import load_recipe
from twin.settings import get_settings
from twin.stores.files import open_files
from twin.stores.registry import CANDIDATE, Registry


def show_report(recipe: str, version: str | None, *, as_json: bool = False) -> None:
    """Print the report of a version of the recipe's model, by default of the candidate.

    Raises:
        BadDataError: there is no candidate, or no report of the version.
        TryAgainError: a store does not answer.
    """
    settings = get_settings()
    name = load_recipe(recipe, settings.recipes).model_name
    if version is None:
        with Registry(settings) as registry:
            candidate = registry.by_alias(name, CANDIDATE)
        if candidate is None:
            raise BadDataError(f"{name} has no candidate: run twin training package first")
        version = candidate.version
    report = read_report(open_files(settings), name, version)
    if as_json:
        print(report.model_dump_json(indent=2))
    else:
        Console().print(terminal(report))
