"""ONNX models against the weights that they are made of: in float32 the same, in eight bits nearly.

onnxruntime lies in a folder of its own (`make onnx`), and is brought into this process here: a
process for each of these calls would take most of their time.
"""

import importlib
import sys

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests import families, tiny_model
from twin.domain.errors import BadConfigurationError, BadDataError
from twin.training.export.onnx_forms import INT8, STATIC, check_packages, prepare_onnx
from twin.training.export.products import _size

PROMPT, ANSWER = list(range(6, 40)), list(range(60, 75))
TEXTS = [list(range(start, start + 40)) for start in (6, 50, 100)]


@pytest.fixture(scope="module")
def process(root):
    """The module that otherwise runs as a process of its own."""
    folder = str(root / ".venvs" / "onnx")
    sys.path.append(folder)
    yield importlib.import_module("twin.training.export.onnx_process")
    sys.path.remove(folder)


def likelihood(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([PROMPT + ANSWER])).logits[0]
    scores = torch.log_softmax(logits[len(PROMPT) - 1 : -1], -1)
    return float(scores[range(len(ANSWER)), ANSWER].sum())


def built(process, source, target, precision):
    target.mkdir(parents=True)
    process.build(source, target, precision)
    return target


@pytest.mark.parametrize(
    "name", ["tiny", pytest.param("llama3", marks=pytest.mark.nightly),
             pytest.param("qwen3", marks=pytest.mark.nightly)],
)  # fmt: skip
def test_each_form_says_what_the_weights_say(process, tmp_path, name):
    source = tmp_path / "source"
    tiny_model.build(source) if name == "tiny" else families.build(name, source)
    expected = likelihood(source)
    text = [{"prompt": PROMPT, "answer": ANSWER}]
    whole = built(process, source, tmp_path / "f32", "fp32")
    [f32] = process.score(whole, text)
    assert f32 == pytest.approx(expected, abs=1e-3)
    dynamic = built(process, source, tmp_path / "int8", "int8")
    process.quantise(whole, tmp_path / "static", TEXTS)
    for folder in (dynamic, tmp_path / "static"):
        [found] = process.score(folder, text)
        assert found == pytest.approx(expected, rel=0.03)
        assert found != f32
        assert _size(folder) < 0.75 * _size(whole)
        assert (folder / "tokenizer.json").is_file()
    assert not (whole / "cache").exists()


def test_it_writes_with_its_cache_what_it_would_write_without(process, tmp_path):
    """The same words as the reference, each of which has seen all those before it."""
    import onnxruntime_genai

    source = tiny_model.build(tmp_path / "source")
    model = onnxruntime_genai.Model(str(built(process, source, tmp_path / "f32", "fp32")))
    parameters = onnxruntime_genai.GeneratorParams(model)
    parameters.set_search_options(max_length=1024, min_length=1024, do_sample=False)
    generator = onnxruntime_genai.Generator(model, parameters)
    generator.append_tokens(PROMPT)
    for _ in range(12):
        generator.generate_next_token()
    reference = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    ends = (
        AutoConfig.from_pretrained(source).eos_token_id,
        *reference.generation_config.eos_token_id,
    )
    ids = list(PROMPT)
    for _ in range(12):
        with torch.inference_mode():
            scores = reference(input_ids=torch.tensor([ids])).logits[0, -1]
            scores[list(ends)] = -torch.inf
        ids.append(int(scores.argmax()))
    assert generator.get_sequence(0).tolist() == ids
    measured = process.run(tmp_path / "f32", 1)
    assert set(measured) == {
        "prompt_tokens_per_second", "tokens_per_second", "peak_memory_bytes",
    }  # fmt: skip
    assert min(measured.values()) > 0


def test_a_family_that_the_builder_does_not_know_is_refused_in_its_words(settings, tmp_path, root):
    settings = settings.model_copy(update={"onnx_packages": root / ".venvs" / "onnx"})
    source = tiny_model.build(tmp_path / "source")
    config = source / "config.json"
    config.write_text(config.read_text().replace("Gemma3ForCausalLM", "OddForCausalLM"))
    with pytest.raises(BadDataError, match=r"onnxruntime cannot build .*source: "):
        prepare_onnx(source, INT8, settings, ())


def test_what_is_missing_is_named(settings, tmp_path, root):
    with pytest.raises(BadConfigurationError, match="run `make onnx`"):
        check_packages(settings.model_copy(update={"onnx_packages": tmp_path}))
    there = settings.model_copy(update={"onnx_packages": root / ".venvs" / "onnx"})
    with pytest.raises(BadDataError, match="fixes ranges by samples"):
        prepare_onnx(tmp_path, STATIC, there, ())
