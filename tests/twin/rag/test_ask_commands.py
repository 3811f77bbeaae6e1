import json
from collections.abc import Iterator

import pytest
import yaml
from typer.testing import CliRunner

from tests import servers, tiny_model
from tests.twin import twins
from twin.cli import app
from twin.domain.errors import ExitCode
from twin.recipes import load_recipe
from twin.settings import get_settings
from twin.stores.registry import Registry
from twin.stores.tracking import tracking_run


@pytest.fixture
def mlflow_of_its_own(tmp_path) -> Iterator[str]:
    """Others' tests roll out whatever versions of twin-tiny the shared one has."""
    with servers.mlflow_server(tmp_path / "mlflow") as url:
        yield url


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


def test_weights_that_are_not_the_registered_ones_do_not_answer(
    ask, monkeypatch, tmp_path, mlflow_of_its_own
):
    monkeypatch.setenv("TWIN_MLFLOW_TRACKING_URI", mlflow_of_its_own)
    get_settings.cache_clear()
    settings = get_settings()
    recipe = load_recipe("tiny", settings.recipes)
    twins.index_texts(recipe, settings)
    uri, digest = twins.publish_weights(settings, tmp_path / "weights")
    with (
        Registry(settings) as registry,
        tracking_run(settings, experiment="tiny", name="package") as run,
    ):
        for claimed in (digest, "0" * 64):
            made = registry.register(
                "twin-tiny", weights_uri=uri, weights_digest=claimed, run_id=run.id, tags={}
            )
            done = ask("Why pods?", "--version", made.version)
            if claimed == digest:
                assert done.exit_code == ExitCode.DONE, done.output
                assert f"twin-tiny version {made.version}" in done.stdout
            else:
                assert done.exit_code == ExitCode.BAD_DATA
                assert "not the weights that were registered" in done.stderr
