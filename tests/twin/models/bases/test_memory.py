"""What a base takes of memory: the refusal, and the arithmetic of the table in the README."""

import pytest

from twin.domain.errors import BadDataError
from twin.models.bases.memory import (
    ENGINE,
    GIB,
    LIBRARIES,
    available_memory,
    check_memory,
    demo_memory,
    serving_memory,
    training_memory,
)

LLAMA_8B = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}


def test_what_cannot_be_held_is_refused_with_the_numbers():
    need = 16 * GIB + LIBRARIES + 3 * GIB
    check_memory("big", 16 * GIB, 3 * GIB, available=need)
    words = (
        r"base model big can't be held: it takes 19.8 GiB \(weights 16.0 GiB, libraries 0.8 GiB, "
        r"other processes 3.0 GiB\).*there are 19.8 GiB: take a smaller model"
    )
    with pytest.raises(BadDataError, match=words):
        check_memory("big", 16 * GIB, 3 * GIB, available=need - 1)


def test_this_machine_is_asked_where_nothing_else_is_said():
    assert GIB / 2 < available_memory() < 10_000 * GIB
    with pytest.raises(BadDataError, match="can't be held"):
        check_memory("big", available_memory())


def test_training_holds_weights_adapter_and_activations():
    parameters = 8_030_000_000
    none = training_memory(LLAMA_8B, parameters, rank=16, tokens=0)
    # An adapter of rank 16 on all linear layers of Llama 3.1 8B has 41,943,040 parameters.
    assert none == LIBRARIES + 2 * parameters + 16 * 41_943_040
    per_token = training_memory(LLAMA_8B, parameters, 16, 1) - none
    assert per_token == 32 * 2 * (6 * 4096 + 2 * 4096 + 2 * 1024 + 4 * 14336)


def test_serving_holds_weights_and_keys_and_values():
    parameters = 8_030_000_000
    empty = serving_memory(LLAMA_8B, parameters, 0)
    assert empty == round(ENGINE + parameters * 34 / 32)
    # 128 KiB a token, as is known of Llama 3 8B.
    assert serving_memory(LLAMA_8B, parameters, 1000) - empty == pytest.approx(1000 * 131_072)


#: Parameters, width, inner width, layers, heads, key heads and a head's width, as published.
MODELS = {
    "SmolLM2 135M": (134.5e6, 576, 1536, 30, 9, 3, 64),
    "Gemma 3 270M": (268e6, 640, 2048, 18, 4, 1, 256),
    "Qwen 2.5 0.5B": (494e6, 896, 4864, 24, 14, 2, 64),
    "Llama 3.2 1B": (1236e6, 2048, 8192, 16, 32, 8, 64),
    "Qwen 2.5 1.5B": (1544e6, 1536, 8960, 28, 12, 2, 128),
    "Qwen 2.5 3B": (3086e6, 2048, 11008, 36, 16, 2, 128),
    "Llama 3.2 3B": (3213e6, 3072, 8192, 28, 24, 8, 128),
    "Llama 3.1 8B": (8030e6, 4096, 14336, 32, 32, 8, 128),
}
KEYS = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim",
)  # fmt: skip


def gib(model):
    """Training, engine and the whole demo of a model, in GiB."""
    parameters, *sizes = MODELS[model]
    config = dict(zip(KEYS, sizes, strict=True))
    return (
        training_memory(config, int(parameters), rank=16, tokens=768) / GIB,
        serving_memory(config, int(parameters), tokens=8 * 2048) / GIB,
        demo_memory(config, int(parameters)) / GIB,
    )


@pytest.mark.parametrize("model", MODELS)
def test_the_table_of_memory_is_what_is_computed(root, model):
    page = (root / "docs" / "pages" / "how-to" / "own-model.md").read_text("utf-8")
    row = " | ".join(f"{number:.1f}" for number in gib(model))
    assert f"| {model} | {row} |" in page


@pytest.mark.parametrize(
    ("machine", "largest"), [(8, "Gemma 3 270M"), (16, "Qwen 2.5 1.5B"), (32, "Llama 3.2 3B")]
)
def test_the_readme_names_models_that_fit(root, machine, largest):
    """With a gibibyte for the system, of the gigabytes that machines are sold by."""
    whole = gib(largest)[2]
    assert whole < machine * 1e9 / GIB - 1
    line = next(
        line
        for line in (root / "README.md").read_text("utf-8").splitlines()
        if line.startswith(f"| {machine} GB")
    )
    assert f"{whole:.1f} GiB" in line


def test_a_head_may_have_a_width_of_its_own():
    wide = {**LLAMA_8B, "head_dim": 256}
    assert serving_memory(wide, 0, 1000) - serving_memory(wide, 0, 0) == 2 * 1000 * 131_072
