"""`twin evaluation compare`: two versions on standard output, and as a page."""

from pathlib import Path

from rich.console import Console

from twin.evaluation.comparison import compare
from twin.evaluation.comparison_text import render_comparison, terminal
from twin.evaluation.contenders import find_contender
from twin.recipes import load_recipe
from twin.settings import get_settings
from twin.stores.files import open_files
from twin.stores.sample_sets import SampleSets


def show_comparison(
    recipe_name: str, first: str, second: str, html: Path | None, *, as_json: bool = False
) -> None:
    """Compare two versions of the recipe's model and print what comes of it.

    Args:
        recipe_name: by name or file.
        first: the one, as `find_contender` takes it.
        second: the other, whose gains are shown.
        html: where to write the page; None writes none.
        as_json: print the comparison as JSON.

    Raises:
        BadDataError: one is not there, or they share no question.
        TryAgainError: a store does not answer.
    """
    settings = get_settings()
    recipe = load_recipe(recipe_name, settings.recipes)
    one, other = (find_contender(word, recipe.model_name, settings) for word in (first, second))
    sets = SampleSets(open_files(settings), recipe.name)
    compared = compare(one, other, recipe, settings, sets)
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(render_comparison(compared), encoding="utf-8")
    if as_json:
        print(compared.model_dump_json(indent=2))
    else:
        Console().print(terminal(compared))
