"""Conversion to GGUF: once, whole, and only of what llama.cpp reads as transformers does."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.models.engines import gguf
from twin.models.engines.gguf import prepare_gguf, prepare_gguf_adapter
from twin.models.engines.llama_server import PROBES
from twin.settings import get_settings


@pytest.fixture(scope="module")
def folder(family_folder):
    return family_folder("qwen3")


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def edit(path, change):
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_a_model_is_converted_once(folder, gguf_cache, monkeypatch):
    file = prepare_gguf(folder, "bf16", gguf_cache)
    assert file.read_bytes()[:4] == b"GGUF"
    monkeypatch.setattr(gguf, "_convert", None)
    assert prepare_gguf(folder, "bf16", gguf_cache) == file
    of_the_model = gguf_cache.glob(f"*{file.stem}*")  # a folder to convert in would have it too
    assert sorted(path.suffix for path in of_the_model) == [".gguf", ".lock"]


def test_what_a_killed_conversion_left_is_removed(folder, tmp_path, monkeypatch):
    def convert(what, source, file, option):
        file.write_bytes(b"GGUF")

    monkeypatch.setattr(gguf, "_convert", convert)
    monkeypatch.setattr("twin.models.engines.llama_server.refuse_other_tokens", lambda *_: None)
    file = prepare_gguf(folder, "f16", tmp_path / "gguf")
    file.rename(file.with_suffix(".old"))
    half = tmp_path / "gguf" / f".{file.stem}-abc"
    half.mkdir()
    (half / file.name).write_bytes(b"half")
    assert prepare_gguf(folder, "f16", tmp_path / "gguf") == file
    assert not half.exists()


@pytest.mark.slow
def test_kill_9_in_a_conversion_leaves_nothing_half_written(folder, gguf_cache, tmp_path):
    """A process that imports torch. Buys: what it had written is never taken for a model, and the
    next start makes it anew."""
    cache = tmp_path / "gguf"
    code = (
        "import sys; from pathlib import Path; from twin.models.engines.gguf import prepare_gguf; "
        "prepare_gguf(Path(sys.argv[1]), 'bf16', Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, str(folder), str(cache)]
    with subprocess.Popen(command, start_new_session=True) as process:
        while not [path for path in cache.glob(".model-*/*") if path.stat().st_size]:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGKILL)
    assert not list(cache.glob("*.gguf"))
    assert list(cache.glob(".model-*")), "it was killed in mid-work"
    file = prepare_gguf(folder, "bf16", cache)
    assert file.read_bytes() == prepare_gguf(folder, "bf16", gguf_cache).read_bytes()
    assert sorted(path.suffix for path in cache.iterdir()) == [".gguf", ".lock"]


def test_other_weights_and_other_quantisations_are_other_files(copy, tmp_path, monkeypatch):
    monkeypatch.setattr(gguf, "_convert", lambda _what, _source, file, _: file.write_bytes(b"x"))
    monkeypatch.setattr("twin.models.engines.llama_server.refuse_other_tokens", lambda *_: None)
    names = {prepare_gguf(copy, quantisation, tmp_path) for quantisation in ("f16", "q8_0")}
    with (copy / "model.safetensors").open("ab") as weights:
        weights.write(b"\0")
    names.add(prepare_gguf(copy, "f16", tmp_path))
    assert len(names) == 3


def test_an_unknown_way_to_cut_text_is_refused(copy, tmp_path):
    def change(tokenizer):
        tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\w+"

    edit(copy / "tokenizer.json", change)
    with pytest.raises(BadDataError, match=r"cuts text by \\w\+.*choose another engine"):
        prepare_gguf(copy, "f16", tmp_path / "gguf")


def test_a_tokenizer_that_llama_cpp_reads_otherwise_is_refused(
    family_folder, gguf_cache, tmp_path, monkeypatch
):
    plain = family_folder("smollm2")
    converted = prepare_gguf(plain, "bf16", gguf_cache)
    folder = shutil.copytree(plain, tmp_path / "model")
    # llama.cpp has no normaliser for byte-level tokenizers, so it keeps capitals, and a GGUF file
    # has no word of it: that of the tokenizer without is the same.
    lowercase = {"type": "Lowercase"}
    edit(folder / "tokenizer.json", lambda tokenizer: tokenizer.update(normalizer=lowercase))
    monkeypatch.setattr(gguf, "_convert", lambda _what, _, file, __: shutil.copy(converted, file))
    message = f"cuts text otherwise than its tokenizer: of {PROBES[0]!r} it makes"
    with pytest.raises(BadDataError, match=re.escape(message)):
        prepare_gguf(folder, "bf16", tmp_path / "gguf")
    assert [path.suffix for path in (tmp_path / "gguf").iterdir()] == [".lock"]


@pytest.mark.slow
def test_a_disk_that_is_full_is_asked_again(folder, tmp_path):
    """A process that imports torch. Buys: a full disk is not taken for a model that is no use."""
    full = tmp_path / "model.gguf"
    full.symlink_to("/dev/full")
    with pytest.raises(TryAgainError, match=r"no space left for .*: make some") as refused:
        gguf._convert("model", folder, full, "bf16")
    assert "\n" not in str(refused.value)


def test_an_unknown_architecture_is_refused(copy, tmp_path):
    edit(copy / "config.json", lambda config: config.update(architectures=["OddForCausalLM"]))
    with pytest.raises(BadDataError, match="converter does not know OddForCausalLM"):
        prepare_gguf(copy, "f16", tmp_path / "gguf")
    assert [path.suffix for path in (tmp_path / "gguf").iterdir()] == [".lock"]


def test_a_folder_without_tokenizer_is_refused(tmp_path):
    with pytest.raises(BadDataError, match=r"has no tokenizer\.json"):
        prepare_gguf(tmp_path, "f16", tmp_path / "gguf")


def test_a_missing_converter_says_how_to_get_it(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TWIN_GGUF_CONVERTER", str(tmp_path))
    get_settings.cache_clear()
    try:
        with pytest.raises(BadConfigurationError, match="run `make setup`"):
            prepare_gguf(folder, "f16", tmp_path / "gguf")
    finally:
        get_settings.cache_clear()


def test_a_folder_that_is_no_adapter_is_refused(folder, tmp_path):
    with pytest.raises(BadDataError, match=r"lacks adapter_config\.json, adapter_model"):
        prepare_gguf_adapter(tmp_path, folder, tmp_path / "gguf")


def test_an_adapter_of_more_than_linear_layers_is_refused(folder, tmp_path):
    import torch
    from safetensors.torch import save_file

    (tmp_path / "adapter_config.json").write_text('{"lora_alpha": 8, "r": 4}', encoding="utf-8")
    name = "base_model.model.model.embed_tokens.trainable_tokens_delta"
    save_file({name: torch.zeros(2, 64)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(BadDataError, match="which is no LoRA matrix of a linear layer"):
        prepare_gguf_adapter(tmp_path, folder, tmp_path / "gguf")
