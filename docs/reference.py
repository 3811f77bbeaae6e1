"""Writes the generated pages of the documentation: the reference, and the handbook."""

import ast
import itertools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr
from reference_api import api
from reference_chart import chart_values
from schema_tables import section

from twin import settings
from twin.recipes import Recipe

PAGES = Path(__file__).parent / "pages"
HANDBOOK = Path(__file__).parent.parent / "include" / "handbook"


def main() -> None:
    """Write every generated page; each starts with a line that says so."""
    (PAGES / "reference").mkdir(exist_ok=True)
    _write("reference/recipes.md", "Recipes", _recipes())
    _write("reference/settings.md", "Settings", _settings())
    _write("reference/api.md", "API", api())
    _write("reference/chart.md", "Chart values", chart_values())
    _commands()
    shutil.rmtree(PAGES / "handbook", ignore_errors=True)
    shutil.copytree(HANDBOOK, PAGES / "handbook")
    _write("handbook/index.md", "The handbook", _articles())


def _write(name: str, title: str, lines: Iterator[str]) -> None:
    text = "\n".join([f"# {title}", "", "Generated from the code by `make docs`.", "", *lines])
    (PAGES / name).write_text(text + "\n", encoding="utf-8")


def _articles() -> Iterator[str]:
    """A link to each article, by its title."""
    yield "This system explained in one author's voice; the corpus of the demo at the same time."
    yield ""
    for path in sorted(HANDBOOK.glob("*.md")):
        front_matter = yaml.safe_load(path.read_text("utf-8").split("---")[1])
        yield f"- [{front_matter['title']}]({path.name}): {front_matter['subtitle']}"


def _recipes() -> Iterator[str]:
    """A section for each part of a recipe, from the same schema that checks it."""
    yield "A recipe is one YAML file per twin. `twin recipe check NAME` checks it,"
    yield "`twin recipe schema` prints the JSON schema for editors."
    schema = Recipe.model_json_schema()
    parts = schema["$defs"]
    yield from section("recipe", schema, parts)
    for name, part in sorted(parts.items()):
        if "properties" in part:
            yield from section(name, part, parts)


def _settings() -> Iterator[str]:
    """Each setting with the docstring that follows it in the source."""
    tree = ast.parse(Path(settings.__file__).read_text("utf-8"))
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        prefix = "TWIN_LAPTOP_" if node.name == "LaptopSettings" else "TWIN_"
        yield from ("", f"## {node.name}", "", ast.get_docstring(node) or "", "")
        yield from ("| Variable | Default | |", "|---|---|---|")
        fields = getattr(settings, node.name).model_fields
        documented = _docstrings(node)
        for name, field in fields.items():
            yield f"| `{prefix}{name.upper()}` | {_default(field)} | {documented.get(name, '')} |"


def _default(field: Any) -> str:
    if field.default_factory:
        return "computed"
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return "" if value in (None, ()) else f"`{value}`"


def _docstrings(node: ast.ClassDef) -> dict[str, str]:
    """Attribute to the string that stands behind it."""
    return {
        item.target.id: " ".join(str(behind.value.value).replace("``", "`").split())
        for item, behind in itertools.pairwise(node.body)
        if isinstance(item, ast.AnnAssign)
        and isinstance(item.target, ast.Name)
        and isinstance(behind, ast.Expr)
        and isinstance(behind.value, ast.Constant)
    }


def _commands() -> None:
    typer = Path(sys.executable).with_name("typer")
    page = PAGES / "reference" / "commands.md"
    subprocess.run(  # noqa: S603 - our own interpreter's typer
        [typer, "twin.cli", "utils", "docs", "--name", "twin", "--output", page], check=True
    )


if __name__ == "__main__":
    main()
