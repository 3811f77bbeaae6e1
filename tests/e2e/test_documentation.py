"""Code blocks of README and pages that need a running demo, on the test's own.

It differs from the reader's in what `as_here` replaces: ports, and the name of the twin.
"""

from pathlib import Path

import pytest

from tests.e2e.conftest import Stage
from tests.snippets import DEMO, Snippet, run, snippets

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1500)]

COMMANDS = [one for one in snippets() if one.condition == DEMO]


@pytest.mark.parametrize("snippet", COMMANDS, ids=str)
def test_a_block_runs_on_the_demo(
    snippet: Snippet, stage: Stage, demo: tuple[str, float], reader: Path
) -> None:
    text = stage.as_here(snippet.text)
    if snippet.language == "python":
        (reader / "pasted.py").write_text(text)
        text = ".venvs/jobs/bin/python pasted.py"
    done = run(text, reader, make="exit 1", environment=stage.environment)
    assert done.returncode == 0, f"{snippet}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    assert done.stdout.strip(), f"{snippet} shows nothing"


def test_there_are_such_blocks() -> None:
    assert {"README.md", "docs/pages/tutorial.md", "docs/pages/how-to/clients.md"} <= {
        one.page for one in COMMANDS
    }
    assert {one.language for one in COMMANDS} == {"sh", "python"}
