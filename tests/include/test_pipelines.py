"""Which recipes a run is about."""

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include import recipe_files
from include.pipelines import pipeline, recipes_of_event, which_recipes
from include.recipe_files import author_id, recipe_names

ask = which_recipes.function


def events(*extras: dict[str, Any]) -> dict[str, list[SimpleNamespace]]:
    return {"asset": [SimpleNamespace(extra=extra) for extra in extras]}


@pytest.fixture
def recipes(tmp_path, monkeypatch: pytest.MonkeyPatch):
    for name in ("alpha", "beta", "handbook"):
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\nauthor: {{id: {name}-author}}\n")
    monkeypatch.setattr(recipe_files, "RECIPES", tmp_path)
    return tmp_path


def test_by_hand_it_is_the_one_picked(recipes) -> None:
    assert ask(params={"recipe": "beta"}) == ["beta"]


def test_events_name_theirs_each_once(recipes) -> None:
    given = events({"recipes": ["beta", "alpha"]}, {"recipes": ["beta"]})
    assert ask(params={"recipe": "handbook"}, triggering_asset_events=given) == ["alpha", "beta"]


def test_an_event_of_the_registry_names_one(recipes) -> None:
    payload = {"recipe": "beta", "model": "twin-beta", "version": "3"}
    assert recipes_of_event({"from_trigger": True, "payload": payload}) == ["beta"]


def test_a_recipe_whose_monitoring_decides_is_left_out_where_its_input_was_updated(recipes) -> None:
    rules = "monitoring: {rules: {training: {drift: true}}}\n"
    (recipes / "beta.yaml").write_text(f"name: beta\n{rules}")
    (recipes / "alpha.yaml").write_text("name: alpha\nmonitoring: {rules: {training: null}}\n")
    given = events({"recipes": ["alpha", "beta", "handbook"]})
    form = {"recipe": "beta"}
    assert ask("training", params=form, triggering_asset_events=given) == ["alpha", "handbook"]
    assert ask("datasets", params=form, triggering_asset_events=given) == [
        "alpha",
        "beta",
        "handbook",
    ]
    only = events({"recipes": ["beta"]})
    assert ask("training", params=form, triggering_asset_events=only) == []
    assert ask("training", params=form) == ["beta"]


def test_a_model_without_a_recipe_here_is_left_alone(recipes, caplog) -> None:
    given = events({"from_trigger": True, "payload": {"recipe": "strange"}})
    assert ask(params={"recipe": "handbook"}, triggering_asset_events=given) == []
    assert "No recipe here is named strange" in caplog.text


@pytest.mark.parametrize(
    ("option", "chosen"), [("", ["handbook"]), ("alpha, beta", ["alpha", "beta"])]
)
def test_at_night_it_is_what_the_configuration_says(
    recipes, monkeypatch: pytest.MonkeyPatch, option: str, chosen: list[str]
) -> None:
    monkeypatch.setenv("AIRFLOW__TWIN__NIGHTLY_RECIPES", option)
    night = SimpleNamespace(run_type="scheduled")
    assert ask(params={"recipe": "handbook"}, dag_run=night) == chosen
    by_hand = SimpleNamespace(run_type="manual")
    assert ask(params={"recipe": "beta"}, dag_run=by_hand) == ["beta"]


def test_the_default_recipe_comes_first(recipes) -> None:
    assert recipe_names() == ["handbook", "alpha", "beta"]


def test_more_arguments_join_the_shared_ones() -> None:
    made = pipeline("What it does.", tags=["nightly"], params={"full": False})
    assert made["tags"] == ["llm-twin", "nightly"]
    assert list(made["params"]) == ["recipe", "full"]


def test_author_of_a_recipe(recipes) -> None:
    assert author_id("alpha") == "alpha-author"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: broken\n", "missing key 'author.id'"),
        ("author: [\n", "not YAML"),
        ("- a\n", "a recipe is a mapping"),
    ],
)
def test_a_broken_recipe_is_named(recipes, text: str, message: str) -> None:
    (recipes / "broken.yaml").write_text(text)
    with pytest.raises(AirflowFailException, match=message) as caught:
        author_id("broken")
    assert "broken" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["nobody", "../secrets"])
def test_no_such_recipe(recipes, name: str) -> None:
    with pytest.raises(AirflowFailException, match="there are handbook, alpha, beta"):
        author_id(name)
