"""The second version of the documentation: trained, promoted, rolled out, rolled back as pasted.

Nightly (minutes): trainings, promotions and rollouts are tested by themselves in tests/twin; this
adds that the commands which a reader pastes one after the other do it on a live platform.
"""

import subprocess
from pathlib import Path

import httpx
import pytest

from tests import servers
from tests.conftest import ROOT
from tests.e2e.conftest import Stage
from tests.snippets import IN_SERVICE, LANGCHAIN, SECOND, Snippet, run, snippets

pytestmark = [
    pytest.mark.e2e, pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(1500),
]  # fmt: skip

#: `setup` finds everything made: in the reader's folder the files' times say nothing.
MAKE = (
    "command make --silent -o .venvs/jobs/.ready -o .venvs/convert/.ready "
    '-o .venvs/airflow/.ready "$@" RECIPE=tiny'
)
PAGES = ("docs/pages/how-to/promote-and-roll-back.md", "README.md", "docs/pages/tutorial.md")


def of(page: str, condition: str) -> list[Snippet]:
    found = [one for one in snippets() if (one.page, one.condition) == (page, condition)]
    assert found
    return found


@pytest.fixture(scope="module")
def up(stage: Stage, demo: tuple[str, float]) -> Stage:
    """Another test may have taken the platform down."""
    done = stage.twin("laptop", "up")
    assert done.returncode == 0, done.stderr
    return stage


def paste(snippet: Snippet, stage: Stage, reader: Path) -> str:
    text = stage.as_here(snippet.text)
    done = run(text, reader, make=MAKE, environment=stage.environment)
    assert done.returncode == 0, f"{snippet}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def serving(stage: Stage) -> str | None:
    """The version that gets every question, if one does."""
    answer = httpx.get(
        f"{stage.endpoint}/v1/models/twin-tiny",
        headers={"authorization": f"Bearer {stage.key}"},
        timeout=30,
    )
    shares = answer.json().get("versions", {}) if answer.is_success else {}
    return next((version for version, share in shares.items() if share == 100), None)


@pytest.mark.parametrize("page", PAGES)
def test_a_second_version_is_promoted_and_taken_back(page: str, up: Stage, reader: Path) -> None:
    before = serving(up)
    assert before is not None
    output = "".join(paste(snippet, up, reader) for snippet in of(page, SECOND))
    assert "is candidate" in output
    servers.wait_until(lambda: serving(up) not in (None, before), "the rollout", 600, pause=1)
    for snippet in of(page, IN_SERVICE):
        paste(snippet, up, reader)
    servers.wait_until(lambda: serving(up) == before, "the way back", 60, pause=1)


def test_langchain_takes_the_endpoint_as_openais(up: Stage, reader: Path, tmp_path: Path) -> None:
    [snippet] = [one for one in snippets() if one.condition == LANGCHAIN]
    uv = ROOT / ".venvs" / "tools" / "bin" / "uv"
    packages = tmp_path / "packages"
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--target", packages, "langchain-openai"],
        check=True, timeout=240,
    )  # fmt: skip
    (reader / "pasted.py").write_text(up.as_here(snippet.text))
    command = f"PYTHONPATH={packages} .venvs/jobs/bin/python pasted.py"
    done = run(command, reader, make="exit 1", environment=up.environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.split()) > 3
