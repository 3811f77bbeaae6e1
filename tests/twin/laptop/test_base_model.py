"""`make demo MODEL=…`: an override that every job reads, and never the recipe's file."""

import io

import pytest
import yaml
from rich.console import Console

from tests import tiny_model
from tests.twin.models.bases.hub_server import running_hub
from twin.domain.errors import BadDataError
from twin.laptop import base_model
from twin.laptop.base_model import use_base_model
from twin.models.bases.base_models import prepare_base_model
from twin.recipes import load_recipe


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def demo(settings, monkeypatch):
    """Uses a model; returns the base that jobs then take."""
    monkeypatch.setattr(base_model, "PLATFORM", 0)  # the test's machine may be small
    before = load_recipe("handbook", settings.recipes)

    def use(model):
        use_base_model(before, model, settings, Console(file=io.StringIO()))
        after = load_recipe("handbook", settings.recipes, settings.overrides)
        base = after.training.base_model
        training = before.training.model_copy(update={"base_model": base})
        assert after == before.model_copy(update={"training": training}), "nothing else changes"
        return base

    return use


def test_a_folder_is_taken_where_it_lies(demo, tiny, settings, monkeypatch):
    monkeypatch.chdir(tiny.parent)
    assert demo(tiny.name) == str(tiny)
    assert not (settings.home / "files").exists()


def test_a_hubs_model_is_fetched_and_pinned(demo, tiny, settings, monkeypatch):
    with running_hub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        commit = hub.add("ann/tiny", tiny)
        assert demo("ann/tiny") == f"ann/tiny@{commit[:12]}"
    assert demo("ann/tiny") == f"ann/tiny@{commit[:12]}", "kept, with no hub"
    base = load_recipe("handbook", settings.recipes, settings.overrides).training.base_model
    assert prepare_base_model(base, settings).is_dir()


def test_without_a_model_it_is_the_recipes_own_again(demo):
    assert demo("smollm2-135m-instruct") == "smollm2-135m-instruct"
    assert demo(None) == "gemma3-270m"
    assert demo(None) == "gemma3-270m"


def test_what_the_machine_cannot_hold_is_refused_before_it_comes(demo, tiny, settings, monkeypatch):
    monkeypatch.setattr("twin.models.bases.memory.available_memory", lambda: 1000)
    with running_hub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        hub.add("ann/tiny", tiny)
        for model in ("gemma3-270m", str(tiny), "ann/tiny"):
            with pytest.raises(BadDataError, match="can't be held"):
                demo(model)
        assert {path for _, path, _ in hub.requests} == {"/api/models/ann/tiny"}
    assert not settings.overrides.exists()


def test_a_fault_in_an_override_names_its_file(demo, settings):
    demo("smollm2-135m-instruct")
    path = settings.overrides / "handbook.yaml"
    path.write_text(yaml.safe_dump({"training": {"base_modell": "x"}}))
    with pytest.raises(BadDataError, match=rf"{path}: unknown key 'training.base_modell'"):
        load_recipe("handbook", settings.recipes, settings.overrides)
