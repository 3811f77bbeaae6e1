"""What a base takes of memory: the refusal, and the arithmetic of the table in the README."""

import pytest

from twin.domain.errors import BadDataError
from twin.models.bases.memory import (
    GIB,
    LIBRARIES,
    available_memory,
    check_memory,
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
        r"base model big can't be held: it takes 19.9 GiB \(weights 16.0 GiB, libraries 0.9 GiB, "
        r"other processes 3.0 GiB\).*there are 19.9 GiB: take a smaller model"
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
    assert empty == round(0.3 * GIB + parameters * 34 / 32)
    # 128 KiB a token, as is known of Llama 3 8B.
    assert serving_memory(LLAMA_8B, parameters, 1000) - empty == pytest.approx(1000 * 131_072)


def test_a_head_may_have_a_width_of_its_own():
    wide = {**LLAMA_8B, "head_dim": 256}
    assert serving_memory(wide, 0, 1000) - serving_memory(wide, 0, 0) == 2 * 1000 * 131_072
