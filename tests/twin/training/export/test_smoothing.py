"""A smoothed model says what it said, by activations of like size."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests import families, tiny_model
from twin.training.export.smoothing import smooth
from twin.training.smaller.importance import largest_inputs, layers_of

TEXTS = [list(range(6, 40)), list(range(50, 61))]


def spread(sizes):
    return float(sizes.max() / sizes.median())


@pytest.mark.parametrize(
    ("name", "options"),
    [("tiny", {}), ("gemma2", {}), ("llama3", {}), ("phi3", {}),
     ("qwen2", {}), ("llama3", {"attention_bias": True, "mlp_bias": True})],
)  # fmt: skip
def test_it_says_the_same_and_no_channel_towers(tmp_path, name, options):
    if name == "tiny":
        folder = tiny_model.build(tmp_path)
    else:
        folder = families.build(name, tmp_path, **options)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    layer = layers_of(model)[1]
    with torch.no_grad():
        layer.input_layernorm.weight[3] = 60.0  # an outlier, as large models have them
    readers = [
        module
        for name, module in layer.named_modules()
        if name.endswith(("q_proj", "qkv_proj", "down_proj", "gate_proj"))
    ]
    ids = torch.tensor([TEXTS[0]])
    with torch.inference_mode():
        expected = model(input_ids=ids).logits.clone()
    before = largest_inputs(model, readers, TEXTS)
    smooth(model, TEXTS)
    with torch.inference_mode():
        assert torch.allclose(model(input_ids=ids).logits, expected, atol=2e-3)
    after = largest_inputs(model, readers, TEXTS)
    assert spread(after[0]) < 0.4 * spread(before[0])
    assert all(spread(b) <= 1.1 * spread(a) for a, b in zip(before, after, strict=True))


def test_at_full_strength_all_channels_are_as_large(tmp_path):
    model = AutoModelForCausalLM.from_pretrained(
        families.build("llama3", tmp_path), dtype=torch.float32
    )
    reader = layers_of(model)[0].mlp.gate_proj
    [before] = largest_inputs(model, [reader], TEXTS)
    smooth(model, TEXTS, strength=1.0)
    [after] = largest_inputs(model, [reader], TEXTS)
    assert spread(before) > 1.2
    assert spread(after) == pytest.approx(1.0, abs=0.01), "at 1 all are as large"
