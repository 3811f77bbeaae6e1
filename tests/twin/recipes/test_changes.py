"""`--set`: values of one training, checked as a recipe's own."""

from pathlib import Path

import pytest
import yaml

from twin.domain.errors import BadDataError
from twin.recipes import load_recipe
from twin.recipes.changes import parse_changes, split_assignments

RECIPE = {
    "name": "ada",
    "author": {"id": "ada", "name": "Ada Lovelace"},
    "sources": [{"kind": "folder", "name": "notes", "path": "notes"}],
    "training": {"seed": 7, "sft": {"max_steps": 90, "batch_size": 2}},
}


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    (tmp_path / "ada.yaml").write_text(yaml.safe_dump(RECIPE))
    return tmp_path


def test_only_what_is_set_is_different(recipes: Path) -> None:
    changes = ["training.sft.max_steps=12, training.dpo.enabled=false", "training.lora.rank=8"]
    recipe = load_recipe("ada", recipes, changes=changes)
    training = recipe.training
    assert (training.sft.max_steps, training.dpo.enabled, training.lora.rank) == (12, False, 8)
    assert (training.seed, training.sft.batch_size) == (7, 2)


def test_it_goes_before_what_is_different_on_this_machine(recipes: Path, tmp_path: Path) -> None:
    overrides = tmp_path / "overrides"
    overrides.mkdir()
    here = {"training": {"sft": {"max_steps": 3}, "seed": 8}}
    (overrides / "ada.yaml").write_text(yaml.safe_dump(here))
    recipe = load_recipe("ada", recipes, overrides, ["training.sft.max_steps=12"])
    assert (recipe.training.sft.max_steps, recipe.training.seed) == (12, 8)


def test_the_order_of_assignments_says_nothing() -> None:
    assert split_assignments(["b=1,a=2", " c=3,"]) == split_assignments(["c=3", "a=2, b=1"])


@pytest.mark.parametrize(
    ("assignment", "reason"),
    [
        ("training.sft.max_steps", "must be KEY=VALUE"),
        ("serving.replicas=3", "a key of the section training"),
        ("training=3", "a key of the section training"),
        ("training.=3", "must be KEY=VALUE"),
        ("training.sft.max_step=3", "did you mean 'max_steps'"),
        ("training.sft.max_steps=-2", "greater than or equal to -1"),
        ("training.sft.max_steps=[", "not YAML"),
        ("training.sft=1,training.sft.max_steps=3", "should be a valid dictionary"),
        ("training.seed=1,training.seed=2", "training.seed has another value too, give one"),
    ],
)
def test_a_wrong_assignment_is_refused_in_words(
    recipes: Path, assignment: str, reason: str
) -> None:
    with pytest.raises(BadDataError) as caught:
        load_recipe("ada", recipes, changes=[assignment])
    message = str(caught.value)
    assert reason in message
    assert "--set " in message
    assert "\n" not in message


def test_a_stage_has_values_of_its_own_section_only(recipes: Path) -> None:
    changes = ["datasets.max_samples=5,datasets.teacher.local=gemma3-270m"]
    knobs = load_recipe("ada", recipes, changes=changes, stage="datasets").datasets
    assert knobs.max_samples == 5
    assert knobs.teacher is not None
    assert knobs.teacher.model == "gemma3-270m"
    with pytest.raises(BadDataError, match="a key of the section datasets"):
        load_recipe("ada", recipes, changes=["training.seed=3"], stage="datasets")


def test_the_same_twice_is_once() -> None:
    assert split_assignments(["training.seed=1", "training.seed=1"]) == ["training.seed=1"]
    assert parse_changes(["training.seed=1", "training.seed= 1"]) == {"training": {"seed": 1}}


def test_nothing_set_changes_nothing() -> None:
    assert parse_changes([]) == {}
