"""`twin recipe`: what it writes is checked by the same loader as every job's recipe."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from twin.cli import app
from twin.recipes import load_recipe
from twin.settings import get_settings

RUN = CliRunner()


@pytest.fixture(autouse=True)
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TWIN_RECIPES", str(tmp_path))
    get_settings.cache_clear()
    yield tmp_path
    get_settings.cache_clear()


def new(*arguments: str):
    return RUN.invoke(app, ["recipe", "new", *arguments])


def test_a_new_recipe_names_every_link_as_a_source(recipes: Path) -> None:
    result = new("ada", "https://ada.substack.com", "https://ada.example/", "--author", "Ada L.")
    assert result.exit_code == 0, result.output
    recipe = load_recipe("ada", recipes)
    assert recipe.author.name == "Ada L."
    assert [source.kind for source in recipe.sources] == ["substack", "web"]
    assert recipe.sources[1].start_urls == ("https://ada.example/",)
    assert "make demo RECIPE=ada" in result.output


def test_only_what_a_person_would_write_is_in_the_file(recipes: Path) -> None:
    new("ada", "https://ada.example/feed", "--author", "Ada")
    text = (recipes / "ada.yaml").read_text("utf-8")
    assert text.startswith("# A twin of Ada.")
    assert "max_pages" not in text
    assert "feeds:" in text


def test_a_file_is_never_overwritten(recipes: Path) -> None:
    (recipes / "ada.yaml").write_text("mine")
    result = new("ada", "https://ada.example/", "--author", "Ada")
    assert result.exit_code == 65
    assert "exists" in result.output
    assert (recipes / "ada.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("Ada", "https://ada.example/", "--author", "Ada"), "name"),
        (("ada", "no-link", "--author", "Ada"), "whole address"),
    ],
)
def test_a_wrong_name_or_link_leaves_no_file(
    recipes: Path, arguments: tuple[str, ...], reason: str
) -> None:
    result = new(*arguments)
    assert result.exit_code == 65
    assert reason in result.output
    assert not list(recipes.iterdir())


def test_check_says_what_a_recipe_describes(recipes: Path) -> None:
    new("ada", "https://ada.example/", "--author", "Ada L.")
    result = RUN.invoke(app, ["recipe", "check", "ada"])
    assert result.exit_code == 0
    assert "ada: fine. Author Ada L." in result.output
    assert "twin-ada" in result.output


def test_check_ends_with_65_and_the_nearest_key(recipes: Path) -> None:
    new("ada", "https://ada.example/", "--author", "Ada")
    path = recipes / "ada.yaml"
    path.write_text(path.read_text() + "servin: {}\n")
    result = RUN.invoke(app, ["recipe", "check", "ada"])
    assert result.exit_code == 65
    assert "did you mean 'serving'?" in result.output


def test_a_misspelt_recipe_is_offered_the_nearest_name(recipes: Path) -> None:
    new("handbook", "https://ada.example/", "--author", "Ada")
    result = RUN.invoke(app, ["recipe", "check", "hanbook"])
    assert result.exit_code == 65
    assert "did you mean handbook?" in result.output


def test_the_schema_describes_every_section() -> None:
    result = RUN.invoke(app, ["recipe", "schema"])
    assert {"sources", "training", "serving"} <= json.loads(result.output)["properties"].keys()


def test_airflow_checks_recipes_by_this_very_schema(root: Path) -> None:
    """After a change of the recipe's sections: twin recipe schema > include/recipe.schema.json."""
    printed = RUN.invoke(app, ["recipe", "schema"]).output
    assert (root / "include" / "recipe.schema.json").read_text(encoding="utf-8") == printed
