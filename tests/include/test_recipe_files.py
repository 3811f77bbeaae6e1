"""Which recipes a form offers, and what is said of the others."""

from pathlib import Path

import pytest
import yaml

from include import recipe_files
from include.pipelines import pipeline
from include.recipe_files import broken_recipes, recipe_states
from tests.airflow_environment import ROOT

GOOD = {
    "name": "ada",
    "author": {"id": "ada", "name": "Ada Lovelace"},
    "sources": [{"kind": "folder", "name": "notes", "path": "notes"}],
}


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(recipe_files, "RECIPES", tmp_path)
    write(tmp_path, "ada")
    return tmp_path


def write(folder: Path, name: str, **changes: object) -> None:
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(GOOD | changes))


def test_the_shipped_recipes_are_fine() -> None:
    assert broken_recipes() == {}


def test_all_kinds_of_sources_are_known(recipes: Path) -> None:
    """The recipe of the README, which has one of each."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = next(part for part in readme.split("```yaml")[1:] if "linkedin_export" in part)
    sources = yaml.safe_load(shown.split("```")[0])["sources"]
    assert len(sources) >= 6
    write(recipes, "ada", sources=sources)
    assert broken_recipes() == {}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"author": {"id": "ada"}}, "author: 'name' is a required property"),
        ({"sources": []}, "sources: [] should be non-empty"),
        ({"sources": "notes"}, "sources: 'notes' is not of type 'array'"),
        ({"sources": [{"kind": "foldr"}]}, "sources.0.kind = 'foldr': may be bucket, folder, git"),
        (
            {"sources": [*GOOD["sources"], {"kind": "folder", "name": "b", "pth": "."}]},
            "sources.1: Additional properties are not allowed ('pth' was unexpected)",
        ),
        ({"crawl": {"max_pages": 0}}, "crawl.max_pages: 0 is less than or equal to the minimum"),
        ({"trainig": {}}, "Additional properties are not allowed ('trainig' was unexpected)"),
    ],
)
def test_what_is_wrong_is_said(recipes: Path, changes: dict[str, object], fault: str) -> None:
    write(recipes, "bob", **changes)
    assert broken_recipes().keys() == {"bob"}
    assert broken_recipes()["bob"].startswith(fault)


def test_the_form_offers_the_others_and_the_documentation_tells(recipes: Path) -> None:
    fine = pipeline("# Crawl\n")
    assert fine["doc_md"] == "# Crawl\n"
    (recipes / "bob.yaml").write_text("sources: [")
    made = pipeline("# Crawl\n")
    assert made["params"]["recipe"].schema["enum"] == ["ada"]
    assert made["doc_md"].startswith("# Crawl\n\n## Recipes that are not offered")
    assert "- `bob`: " in made["doc_md"] and "not YAML" in made["doc_md"]


def test_without_any_that_is_fine_the_form_is_still_made(recipes: Path) -> None:
    (recipes / "ada.yaml").write_text("- a list")
    assert pipeline("")["params"]["recipe"].schema["enum"] == []


def test_a_change_of_any_recipe_is_seen(recipes: Path) -> None:
    before = recipe_states()
    assert recipe_states() == before
    write(recipes, "bob")
    with_bob = recipe_states()
    assert with_bob != before
    write(recipes, "bob", rights={"licence": "MIT"})
    assert recipe_states() != with_bob
    (recipes / "bob.yaml").unlink()
    assert recipe_states() == before
