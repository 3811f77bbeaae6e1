"""`twin models`: exit codes and what people read."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from twin.models.bases.commands import app
from twin.settings import get_settings


@pytest.fixture
def run(settings, monkeypatch):
    """Runs a command in this process; returns its exit code and everything that it printed."""
    monkeypatch.setenv("TWIN_HOME", str(settings.home))
    monkeypatch.setenv("TWIN_RECIPES", str(settings.recipes))
    get_settings.cache_clear()

    def invoke(*arguments):
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return done.exit_code, done.output

    yield invoke
    get_settings.cache_clear()


def test_a_base_is_fetched_listed_shown_and_removed(hub, tiny, run):
    commit = hub.add("ann/tiny", tiny)
    assert run("list") == (0, "")
    code, out = run("fetch", "ann/tiny")
    assert code == 0
    shown = run("show", "ann/tiny")
    assert shown[0] == 0
    assert shown[1].startswith(out.lstrip("\n"))
    assert "training        about 0.8 GiB: LoRA" in shown[1]
    assert "serving         about 0.4 GiB: q8_0" in shown[1]
    assert f"revision        {commit}" in out
    assert "licence         apache-2.0, https://huggingface.co/ann/tiny" in out
    assert f"bases/ann--tiny/{commit[:12]}" in out
    code, out = run("list")
    assert code == 0
    assert out.startswith(f"ann/tiny@{commit[:12]}  1M  0.00 GB  Gemma3ForCausalLM  apache-2.0")
    code, out = run("fetch", "ann/tiny")
    assert code == 99
    assert f"ann/tiny@{commit[:12]} is kept already" in out
    assert run("remove", f"ann/tiny@{commit[:9]}") == (0, f"ann/tiny@{commit[:12]} is removed\n")
    code, out = run("show", "ann/tiny")
    assert code == 65
    assert "no base model 'ann/tiny' is kept: there are none" in out
    assert run("list") == (0, "")


def test_a_recipes_base_is_fetched_and_the_result_written(hub, tiny, run, settings, tmp_path):
    commit = hub.add("ann/tiny", tiny)
    handbook = yaml.safe_load((settings.recipes / "handbook.yaml").read_text())
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(yaml.safe_dump({**handbook, "training": {"base_model": "ann/tiny@main"}}))
    result = tmp_path / "result.json"
    code, _ = run("fetch", "--recipe", recipe, "--result", result, "--run-id", "r1")
    assert code == 0
    told = json.loads(result.read_text())
    assert told["ids"]["base_model"] == f"ann/tiny@{commit[:12]}"
    assert told["detail"]["licence"].startswith("apache-2.0")
    assert told["uris"]["base_model"].endswith(f"bases/ann--tiny/{commit[:12]}")
    assert told["counts"]["written"] == 1
    code, _ = run("fetch", "--recipe", recipe, "--result", result)
    assert code == 99
    assert json.loads(result.read_text())["status"] == "skipped"


def test_a_folder_gets_the_name_that_it_is_given(tiny, run):
    code, out = run("fetch", tiny, "--name", "mine")
    assert code == 0
    assert "id              mine" in out
    assert run("fetch", tiny, "--name", "mine")[0] == 99
    assert run("remove", "mine")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("fetch",), 78, "which model?"),
        (("fetch", "gema3-270m"), 65, "did you mean 'gemma3-270m'?"),
        (("fetch", "gemma3-270m@main"), 65, "leave out @main"),
        (("show", "nothing"), 65, "no base model 'nothing' is kept"),
    ],
)
def test_what_cannot_be_done_says_so(run, arguments, code, words):
    got, out = run(*arguments)
    assert (got, words in out) == (code, True), out
