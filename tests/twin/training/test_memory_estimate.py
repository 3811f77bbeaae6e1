"""What a training takes of memory, by its parts, and the smallest change by which it fits."""

import json

import pytest

from twin.domain.errors import BadDataError
from twin.models.bases.memory import GIB, LIBRARIES
from twin.recipes import TrainingSection
from twin.training import memory_estimate
from twin.training.memory_estimate import check_fits, check_room, estimate_memory

LLAMA_8B = {
    "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128_256,
}  # fmt: skip
PARAMETERS = 8_030_000_000
ADAPTER = 41_943_040  # of rank 16, as is known
KEPT = 2 * (6 * 4096 + 2 * 4096 + 2 * 1024 + 4 * 14336)


def recipe(method="lora", sft=None, dpo=None):
    values = {"method": method, "sft": sft or {}, "dpo": {"enabled": False, **(dpo or {})}}
    return TrainingSection.model_validate(values)


def estimate(*args, accelerated=False, **kwargs):
    return estimate_memory(LLAMA_8B, PARAMETERS, recipe(*args, **kwargs), accelerated=accelerated)


def test_the_parts_of_a_training_by_adapter():
    found = estimate(sft={"batch_size": 3, "max_length": 100})
    assert found.libraries == LIBRARIES
    assert found.weights == 2 * PARAMETERS + 4 * ADAPTER
    assert found.optimizer == 12 * ADAPTER
    assert found.activations == 300 * 32 * KEPT
    assert found.logits == 256 * 128_256 * 2 * 3
    assert found.total == sum(
        (found.libraries, found.weights, found.optimizer, found.activations, found.logits)
    )
    few = estimate(sft={"batch_size": 1, "max_length": 100})
    assert few.logits == 100 * 128_256 * 2 * 3


def test_a_gpu_holds_no_libraries_and_activations_of_one_layer():
    found = estimate(sft={"batch_size": 1, "max_length": 1000}, accelerated=True)
    assert found.libraries == 0
    assert found.activations == 1000 * (32 * 2 * 4096 + KEPT)
    switched_off = {"batch_size": 1, "max_length": 1000, "gradient_checkpointing": False}
    assert estimate(sft=switched_off, accelerated=True).activations == 1000 * 32 * KEPT


def test_the_ways_of_training():
    assert estimate("qlora").weights == round(0.36 * 2 * PARAMETERS) + 4 * ADAPTER
    full = estimate("full")
    assert full.weights == 6 * PARAMETERS
    assert full.optimizer == 12 * PARAMETERS
    assert estimate("full", dpo={"enabled": True}).weights == 8 * PARAMETERS


def test_the_hungrier_stage_counts():
    small = {"batch_size": 1, "max_length": 100}
    alone = estimate(sft=small)
    both = estimate(sft=small, dpo={**small, "enabled": True})
    assert both.activations == 2 * alone.activations, "a pair is two texts"
    kto = estimate(sft=small, dpo={"max_length": 100, "enabled": True, "method": "kto"})
    assert kto.activations == 2 * alone.activations, "two texts are two"
    orpo = estimate(sft=small, dpo={**small, "enabled": True, "method": "orpo"})
    assert orpo.logits == 200 * 128_256 * 10


def refusal(available, **kwargs):
    with pytest.raises(BadDataError) as refused:
        check_fits(
            "big", LLAMA_8B, PARAMETERS, recipe(**kwargs), round(available * GIB), accelerated=False
        )
    return str(refused.value)


def test_what_fits_to_the_byte_is_not_refused():
    found = estimate()
    args = ("big", LLAMA_8B, PARAMETERS, recipe())
    assert check_fits(*args, found.total, accelerated=False) == found
    with pytest.raises(BadDataError, match="training big takes about"):
        check_fits(*args, found.total - 1, accelerated=False)


def test_a_refusal_names_the_smallest_change_that_fits():
    """From what alters no result to what alters most."""
    sft = {"batch_size": 6, "max_length": 1024}
    said = refusal(40, sft=sft)
    assert "weights 15.1, optimizer and gradients 0.5, activations 33.8" in said
    assert "batch_size to 3 with gradient_accumulation 2" in said
    assert "batch_size to 1 with gradient_accumulation 6" in refusal(23, sft=sft)
    assert "gradient_checkpointing of training.sft and training.dpo to true" in refusal(18, sft=sft)
    assert "set training.method to qlora" in refusal(9, sft=sft)
    assert "set training.method to lora" in refusal(20, method="full", sft=sft)
    assert "take a smaller base model, or a machine with more memory" in refusal(3, sft=sft)
    long = {"batch_size": 1, "max_length": 32_768}
    said = refusal(15, sft=long)
    assert "method qlora set max_length of training.sft and training.dpo to 16384" in said


def test_batches_of_kto_stay_two():
    dpo = {"enabled": True, "method": "kto", "batch_size": 4, "max_length": 1024}
    said = refusal(28, sft={"batch_size": 1, "max_length": 100}, dpo=dpo)
    assert "training.dpo.batch_size to 2 with 2" in said


@pytest.fixture
def base(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_8B))
    (tmp_path / "model.safetensors").write_bytes(b"x" * 2000)
    return tmp_path


def test_this_machine_is_asked_and_samples_count_as_long_as_they_are(base, monkeypatch):
    section = recipe(sft={"batch_size": 1, "max_length": 1000})
    found = check_room("big", base, section, longest=100)
    short = recipe(sft={"batch_size": 1, "max_length": 100})
    assert found == estimate_memory(LLAMA_8B, 1000, short, accelerated=False).total
    monkeypatch.setattr(memory_estimate, "available_memory", lambda: found + 9)
    assert check_room("big", base, section, longest=100, taken=9) == found
    with pytest.raises(BadDataError, match="training big takes about"):
        check_room("big", base, section, longest=100, taken=10)
    monkeypatch.setattr(memory_estimate, "available_memory", lambda: found - 1)
    with pytest.raises(BadDataError, match="training big takes about"):
        check_room("big", base, section, longest=100)


def test_of_a_family_with_other_names_the_weights_are_known(base, monkeypatch):
    (base / "config.json").write_text(json.dumps({"n_embd": 64}))
    assert check_room("odd", base, recipe(), longest=100) == 2000 + LIBRARIES
    with pytest.raises(BadDataError, match="other processes"):
        check_room("odd", base, recipe(), longest=100, taken=10**15)
    monkeypatch.setattr("twin.models.bases.memory.available_memory", lambda: 1)
    with pytest.raises(BadDataError, match="base model odd can't be held"):
        check_room("odd", base, recipe(), longest=100)
