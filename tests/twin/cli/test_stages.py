"""A command imports its own stage and no other; all of them are there nevertheless."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from twin.cli import STAGES, app

#: In one process, each stage in a fork of what all have: prints stage and module.
PROGRAM = """
import os, sys
from twin.cli import STAGES, app
from typer.main import get_command

HEAVY = {
    "torch", "transformers", "sentence_transformers", "trl", "peft", "datasets", "mlflow", "ray",
    "qdrant_client", "qdrant_edge", "openvino", "scrapy", "twisted.internet", "lxml", "trafilatura",
    "pandas", "numpy", "scipy", "sklearn", "matplotlib", "pyarrow", "fsspec", "pymongo", "httpx",
}
for stage, module in STAGES.items():
    if os.fork() == 0:
        assert get_command(app).commands[stage].name == stage
        for name in (HEAVY | set(STAGES.values())) & set(sys.modules) - {module}:
            print(stage, name, flush=True)
        assert module in sys.modules
        os._exit(0)
    _, status = os.wait()
    assert status == 0, stage
"""

#: What comes with what the options of a stage's commands are made of; milliseconds each.
NEEDED = {("laptop", "httpx"), ("models", "fsspec"), ("datasets", "fsspec")}


def test_a_stage_imports_no_other_and_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {tuple(line.split()) for line in done.stdout.splitlines()} <= NEEDED


def test_help_names_every_stage_and_what_it_is_for() -> None:
    done = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    lines = [line.strip("│ ").split(maxsplit=1) for line in done.output.splitlines()]
    described = {line[0]: line[1] for line in lines if len(line) == 2}
    assert {*STAGES, "audit", "doctor"} <= described.keys()
    assert described["training"] == "Fine-tune the base model on the samples."
    assert "--version" in done.output


@pytest.mark.parametrize("stage", STAGES)
def test_help_of_a_stage_names_its_commands(stage: str) -> None:
    done = CliRunner().invoke(app, [stage, "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert f"twin {stage} [OPTIONS] COMMAND [ARGS]..." in done.output
    assert "Commands" in done.output


@pytest.mark.parametrize(
    ("given", "nearest"), [("trainin", "'training'"), ("dokter", "'doctor'"), ("crawel", "'crawl'")]
)
def test_a_misspelt_command_is_told_the_nearest(given: str, nearest: str) -> None:
    done = CliRunner().invoke(app, [given, "run"])
    assert done.exit_code == 2
    assert f"No such command '{given}'. Did you mean {nearest}" in " ".join(done.output.split())
