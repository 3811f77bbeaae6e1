"""How much of its hardware a training uses, and what it costs."""

import pytest
import torch
from peft import get_peft_model

from twin.recipes import TrainingSection
from twin.settings import Settings
from twin.training import throughput
from twin.training.engine import load_for_training, lora_config
from twin.training.throughput import MachineMonitor, Meter, flops_per_token, peak_tflops


def model_of(tiny, method="lora"):
    recipe = TrainingSection(method=method)
    model, _ = load_for_training(tiny, Settings(threads=1), recipe)
    return model if method == "full" else get_peft_model(model, lora_config(recipe.lora))


def test_operations_of_a_token_are_six_a_weight_that_is_trained_and_four_a_weight_that_is_not(tiny):
    whole = model_of(tiny, "full")
    assert whole.get_input_embeddings().weight is whole.get_output_embeddings().weight
    weights = whole.num_parameters()
    assert flops_per_token(whole) == 6 * weights
    assert flops_per_token(whole, referred=True) == 8 * weights
    trained, everything = model_of(tiny).get_nb_trainable_parameters()
    assert (everything - trained, trained > 0) == (weights, True)
    assert flops_per_token(model_of(tiny)) == 4 * weights + 6 * trained


def test_an_embedding_that_is_no_head_is_looked_up_only(tiny):
    model = model_of(tiny, "full")
    before = flops_per_token(model)
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    assert flops_per_token(model) == before
    model.get_input_embeddings().weight.requires_grad_(False)
    assert flops_per_token(model) == before


def test_four_bits_are_two_numbers_a_byte(tiny):
    class Params4bit(torch.nn.Parameter):
        """By its name as bitsandbytes has it."""

    packed = Params4bit(torch.zeros(8, dtype=torch.uint8), requires_grad=False)
    assert throughput._size(packed) == 16


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H200", 989.0), ("NVIDIA H100 80GB HBM3", 989.0), ("NVIDIA H100 PCIe", 756.0),
        ("NVIDIA A100-SXM4-80GB", 312.0), ("NVIDIA L40S", 362.0), ("NVIDIA L40", 181.0),
        ("NVIDIA L4", 121.0),
        ("NVIDIA A10G", 70.0), ("Another", None),
    ],
)  # fmt: skip
def test_the_peak_is_known_by_the_gpus_name_or_said(monkeypatch, name, peak):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: name)
    assert peak_tflops(Settings()) == peak
    assert peak_tflops(Settings(gpu_tflops=5.0)) == 5.0


def test_without_peak_and_price_nothing_is_said():
    meter = Meter(flops_per_token=1.0, units=1, peak_tflops=None, price_per_hour=None)
    assert meter.mfu(100.0) == meter.cost(100.0) == {}


def test_processors_and_memory_are_under_the_names_of_mlflow():
    found = MachineMonitor().measures()
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= set(
        found
    )
