import json

import pytest
import yaml
from typer.testing import CliRunner

from tests import tiny_model
from tests.twin import twins
from twin.cli import app
from twin.domain.errors import ExitCode
from twin.settings import get_settings


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """`twin rag ask` with a tiny base model, and no MLflow anywhere."""
    monkeypatch.setenv("TWIN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TWIN_RECIPES", str(tmp_path / "recipes"))
    monkeypatch.setenv("TWIN_MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    get_settings.cache_clear()
    twins.write_recipe(tmp_path / "recipes")
    path = tmp_path / "recipes" / "tiny.yaml"
    base = tiny_model.build(tmp_path / "base")
    text = yaml.safe_load(path.read_text()) | {"training": {"base_model": str(base)}}
    path.write_text(yaml.safe_dump(text))

    def run(*arguments):
        return CliRunner().invoke(app, ["rag", "ask", *arguments, "--recipe", "tiny"])

    yield run
    get_settings.cache_clear()


def test_the_base_model_answers_with_sources(ask):
    settings = get_settings()
    from twin.recipes import load_recipe

    twins.index_texts(load_recipe("tiny", settings.recipes), settings)
    shown = ask("Why pods?", "--base")
    assert shown.exit_code == 0, shown.output
    assert "[1] On pods  https://ann.example/pods" in shown.stdout
    answer = json.loads(ask("Why pods?", "--base", "--json", "--k", "1").stdout)
    assert answer["question"] == "Why pods?"
    assert len(answer["sources"]) == 1


def test_without_an_index_it_says_what_to_run(ask):
    done = ask("Why pods?", "--base")
    assert done.exit_code == ExitCode.BAD_DATA
    assert "twin features build --recipe tiny" in done.stderr


def test_without_mlflow_it_says_so(ask):
    done = ask("Why pods?")
    assert done.exit_code == ExitCode.TRY_AGAIN
    assert "MLflow at http://127.0.0.1:1 does not answer" in done.stderr
