"""GGUF files: the packaged second model, and files that cannot be read."""

import pytest

from twin.domain.errors import BadDataError
from twin.models.bases.base_models import prepare_base_model
from twin.models.bases.fetch import fetch_base_model
from twin.models.bases.kept import KeptBases
from twin.stores.files import open_files


def _gguf(path, architecture):
    from gguf import GGUFWriter

    writer = GGUFWriter(path, architecture)
    writer.add_block_count(1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_an_unknown_architecture_is_named(tmp_path, settings):
    file = _gguf(tmp_path / "odd.gguf", "oddnet")
    with pytest.raises(BadDataError, match=r"architecture 'oddnet' can't be read.*safetensors"):
        fetch_base_model(str(file), settings)
    assert KeptBases(open_files(settings)).all() == []


@pytest.mark.parametrize("content", [b"", b"PK not a model", b"GGUF", b"GGUF" + bytes(20)])
def test_what_is_no_gguf_file_is_refused(tmp_path, settings, content):
    file = tmp_path / "model.gguf"
    file.write_bytes(content)
    with pytest.raises(BadDataError, match=r"model.gguf.*GGUF file"):
        fetch_base_model(str(file), settings)


@pytest.mark.slow
@pytest.mark.nightly
def test_the_second_packaged_model_is_of_another_family(settings):
    """A minute; `test_base_models` prepares the first one. Buys: that this real package becomes a
    real model with its own template."""
    pytest.importorskip("gguf")
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    from twin.models.formats.chat_format import ChatFormat

    folder = prepare_base_model("smollm2-135m-instruct", settings)
    assert "Apache-2.0" in (folder / "LICENCE").read_text()
    weights = load_file(folder / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    form = ChatFormat.load(folder)
    assert form.end_of_answer == "<|im_end|>"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    prompt = form.prompt_ids([{"role": "user", "content": "What is the capital of France?"}])
    with torch.inference_mode():
        written = model.generate(torch.tensor([prompt]), max_new_tokens=8, do_sample=False)
    assert "Paris" in form.tokenizer.decode(written[0, len(prompt) :])
