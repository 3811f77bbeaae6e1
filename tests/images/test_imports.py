"""Each image carries what its command imports: tried here, with everything else hidden."""

import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

REQUIREMENTS = ROOT / "images" / "twin" / "requirements"

#: The jobs that Airflow runs in each image (include/jobs.py), and what serves in `serve`.
COMMANDS = {
    "crawl": ["crawl run"],
    "crawl-browser": ["crawl run"],
    "features": ["features build"],
    "train": [
        "datasets make",
        "training sft",
        "training pairs",
        "training dpo",
        "training package",
        "evaluation run",
    ],
    "serve": ["rollout start", "rollout status", "rollout rollback", "serving start"],
}

#: Runs `twin … --help` for each argument with only the named distributions importable, then imports
#: what the command itself does once it runs.
CODE = """
import ast, importlib.metadata, inspect, re, sys, textwrap

def canonical(name): return re.sub(r"[-_.]+", "-", name).lower()

carried = set(sys.argv[1].split(","))
home = importlib.metadata.packages_distributions()

class Hide:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        owners = {canonical(owner) for owner in home.get(top, ())}
        if owners and not owners & carried:
            raise ModuleNotFoundError(f"No module named {name!r} (not in this image)", name=name)
        return None

sys.meta_path.insert(0, Hide())
from typer.main import get_command
from typer.testing import CliRunner
from twin.cli import app

for command in sys.argv[2:]:
    done = CliRunner().invoke(app, [*command.split(), "--help"])
    assert done.exit_code == 0, (command, done.output, done.exception)
    found = get_command(app)
    for name in command.split():
        found = found.commands[name]
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(found.callback)))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            importlib.import_module(node.module)
"""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def carried(*locks: str) -> set[str]:
    """Distributions that an image installs."""
    names = {"twin", "torch"}
    for lock in locks:
        text = (REQUIREMENTS / f"{lock}.txt").read_text()
        names |= {canonical(name) for name in re.findall(r"(?m)^([A-Za-z0-9._-]+)==", text)}
    return names


def run(distributions: set[str], *commands: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", CODE, ",".join(sorted(distributions)), *commands],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("target", COMMANDS)
def test_command_starts_with_what_the_image_carries(target):
    done = run(carried(target), "", *COMMANDS[target])
    assert done.returncode == 0, done.stderr


def test_compose_runs_every_job_beside_airflow():
    """`airflow-jobs` carries crawl and train in one environment; serving is a container's own."""
    commands = [job for target in COMMANDS.values() for job in target if job != "serving start"]
    done = run(carried("crawl", "train", "weights"), *commands)
    assert done.returncode == 0, done.stderr


def test_hiding_hides():
    """Without a package that `twin` starts with, the test above would fail."""
    done = run(carried("crawl") - {"structlog"}, "crawl run")
    assert done.returncode != 0
    assert "No module named 'structlog' (not in this image)" in done.stderr
