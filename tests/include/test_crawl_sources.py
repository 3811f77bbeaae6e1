"""Which tasks a crawl has, and in which image each runs."""

from pathlib import Path

import pytest
import yaml

from include import recipe_files
from include.crawl_sources import crawls_of


@pytest.fixture(autouse=True)
def _recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [{"name": "blog", "kind": "web"}, {"name": "app", "kind": "web", "javascript": True}]
    monkeypatch.setattr(recipe_files, "RECIPES", tmp_path)
    (tmp_path / "someone.yaml").write_text(yaml.safe_dump({"sources": sources}))


def test_a_source_that_needs_a_browser_gets_the_image_that_has_one() -> None:
    blog, app = crawls_of("someone", [], full=True)
    assert blog == {
        "recipe": "someone", "options": ["--source=blog", "--full"], "profile": "crawl"
    }  # fmt: skip
    assert app["options"] == ["--source=app", "--full"]
    assert app["profile"] == "crawl-browser"


def test_links_go_instead_of_sources() -> None:
    link = "https://example.org/post"
    assert crawls_of("someone", [link], full=False) == [
        {"recipe": "someone", "options": [f"--link={link}"], "profile": "crawl"}
    ]


def test_what_is_wrong_with_a_recipe_is_for_its_job_to_say(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("sources: [{kind: web}]")
    for name in ("broken", "nobody"):
        assert crawls_of(name, [], full=False) == [
            {"recipe": name, "options": [""], "profile": "crawl"}
        ]
