"""The generated pages name everything that there is, with its description."""

import subprocess
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from tests.conftest import ROOT
from tests.snippets import fresh_checkout
from twin.cli import app
from twin.recipes import Recipe
from twin.settings import LaptopSettings, Settings


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `docs/reference.py` writes, in a checkout of its own."""
    folder = fresh_checkout(tmp_path_factory.mktemp("checkout"))
    subprocess.run(
        [".venvs/jobs/bin/python", "docs/reference.py"], cwd=folder, check=True, timeout=120
    )
    return folder / "docs" / "pages" / "reference"


def test_every_path_of_the_endpoint_is_there(reference: Path) -> None:
    text = (reference / "api.md").read_text()
    for path in ("GET /healthz", "GET /v1/models", "POST /v1/answers", "POST /v1/chat/completions"):
        assert f"`{path}`" in text
    assert "| `question` | string | required |" in text
    assert "`POST /v1/answers/{answer_id}/feedback`" in text
    assert "[Passage](#passage)" in text
    assert "## Passage" in text


def test_every_value_of_the_chart_is_there_with_its_default(reference: Path) -> None:
    text = (reference / "chart.md").read_text()
    values = yaml.safe_load((ROOT / "helm" / "llm-twin" / "values.yaml").read_text())
    for key in values:
        assert f"\n## {key}\n" in text
    assert "| `install.mlflow` | `false` | Tracking server and model registry. |" in text
    assert "| `serving.router.replicas` | `2` | At least two" in text
    missing = [path for path in leaves(values) if not any(row in text for row in rows(path))]
    assert not missing


def leaves(values: dict, prefix: str = "") -> list[str]:
    found = []
    for key, value in values.items():
        inner = isinstance(value, dict) and value
        found += leaves(value, f"{prefix}{key}.") if inner else [f"{prefix}{key}"]
    return found


def rows(path: str) -> list[str]:
    """How a row of this value begins: its own, or of a mapping that is written on one line."""
    parts = path.split(".")
    within = [".".join(parts[:number]) for number in range(1, len(parts))]
    return [f"| `{path}` |", *(f"| `{mapping}` | `{{" for mapping in within)]


def test_every_setting_section_and_command_is_there(reference: Path) -> None:
    settings = (reference / "settings.md").read_text()
    for name in Settings.model_fields:
        assert f"`TWIN_{name.upper()}`" in settings
    for name in LaptopSettings.model_fields:
        assert f"`TWIN_LAPTOP_{name.upper()}`" in settings
    recipes = (reference / "recipes.md").read_text()
    for name in Recipe.model_fields:
        assert f"| `{name}` |" in recipes
    commands = (reference / "commands.md").read_text()
    for name, group in get_command(app).commands.items():
        for job in getattr(group, "commands", {}):
            assert f"`twin {name} {job}`" in commands


def test_a_warning_fails_the_site() -> None:
    """With --quiet, mkdocs does not count warnings, and --strict says nothing."""
    command = ["make", "--dry-run", "--silent", "-C", str(ROOT), "docs"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    [build] = [line for line in lines if "mkdocs build" in line]
    assert "--strict" in build
    assert "quiet" not in build
