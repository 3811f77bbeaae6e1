"""The code blocks of the documentation, and a folder to run them in as a reader does.

A comment before a block says when it can run: ``<!-- snippet: on the running demo -->``. A block
without one runs in a fresh checkout.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from tests.conftest import ROOT

LANGUAGES = ("sh", "python", "yaml")
DEMO = "on the running demo"
SECOND = "the second version"
IN_SERVICE = "the second version, in service"
LANGCHAIN = "on the running demo with langchain-openai"
CHART = "values of the chart"
MAY_LACK = "ends with 78 where something is missing"
NOT_RUN = "not run: "

_MARK = re.compile(r"<!-- snippet: (.+?) -->")
#: Pages that `make docs` generates.
_GENERATED = ("reference", "handbook")


@dataclass(frozen=True)
class Snippet:
    """One code block; ``condition`` is what its page says about running it, if anything."""

    page: str
    line: int
    language: str
    text: str
    condition: str | None

    def __str__(self) -> str:
        """As a test's id and in its failure."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page that a person wrote for readers of the project."""
    folder = ROOT / "docs" / "pages"
    written = [
        path
        for path in sorted(folder.rglob("*.md"))
        if path.relative_to(folder).parts[0] not in _GENERATED
    ]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *written]


def snippets() -> list[Snippet]:
    """The code blocks of all pages, in their order."""
    return [snippet for page in pages() for snippet in _of_page(page)]


def _of_page(page: Path) -> Iterator[Snippet]:
    condition = None
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        mark = _MARK.fullmatch(token.content.strip()) if token.type == "html_block" else None
        language = token.info.strip()
        if token.type == "fence" and language in LANGUAGES:
            assert token.map is not None
            name = str(page.relative_to(ROOT))
            yield Snippet(name, token.map[0] + 1, language, token.content, condition)
        if token.level == 0:
            condition = mark[1] if mark else None


def fresh_checkout(folder: Path) -> Path:
    """A copy of what git knows, with this environment as its `.venvs/jobs`.

    Of the tests it has what `make` reads of them, their requirements.

    What a block deletes or overwrites there is gone there only.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in listed:
        is_test = name.startswith("tests/") and not name.endswith(".txt")
        if name and not is_test and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    for name in ("jobs", "airflow", "convert"):
        environment = folder / ".venvs" / name
        environment.mkdir(parents=True)
        made = Path(sys.prefix) if name == "jobs" else ROOT / ".venvs" / name
        for part in made.iterdir():
            if part.name != ".ready":
                (environment / part.name).symlink_to(part)
        (environment / ".ready").touch()
    return folder


def run(
    text: str, folder: Path, *, make: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a block as one pastes it into bash; the first command that fails ends it.

    Args:
        text: the block.
        folder: a checkout.
        make: what stands for the command `make`, a function's body.
        environment: variables beside those that a person's shell has.
    """
    shell = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TWIN_", "MAKE", "MFLAGS"))
    }
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"make() {{ {make}; }}\n{text}"],
        cwd=folder,
        env={**shell, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
