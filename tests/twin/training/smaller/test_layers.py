"""Copies with fewer layers: which layers, and models of their family like any other."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests import families, tiny_model
from twin.domain.errors import BadDataError
from twin.training.smaller.layers import (
    choose_layers,
    evenly,
    kinds_of_layers,
    save_copy,
    with_layers,
)

WINDOWS = [("window",)] * 5 + [("all",)]


@pytest.mark.parametrize(
    ("count", "keep", "expected"),
    [(4, 2, [0, 3]), (5, 3, [0, 2, 4]), (6, 3, [0, 2, 5]), (6, 1, [0]), (3, 3, [0, 1, 2])],
)
def test_layers_of_one_kind_are_kept_evenly(count, keep, expected):
    assert evenly([()] * count, keep) == expected


def test_a_layer_moves_to_a_place_of_its_own_kind_only():
    kinds = WINDOWS * 3  # Gemma 3 270M: places 5, 11 and 17 see all
    chosen = evenly(kinds, 9)
    assert [kinds[layer] for layer in chosen] == kinds[:9]
    assert chosen == sorted(set(chosen))
    assert chosen[0] == 0
    assert chosen[5] == 11, "the nearest to its even place, 10.6"


def test_the_cheapest_choice_is_taken():
    worth = [5.0, 1.0, 9.0, 1.0, 7.0]
    assert choose_layers([()] * 5, 3, lambda _place, layer: -worth[layer]) == [0, 2, 4]
    kinds = [("a",), ("b",), ("a",), ("b",)]
    # The dear "b" at 1 is left out for the one at 3, and both places keep their kinds.
    assert choose_layers(kinds, 2, lambda _place, layer: [0, 5, 1, 0][layer]) == [0, 3]


def loaded(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.mark.parametrize("name", ["tiny", "llama3", "qwen3"])
def test_the_copy_has_the_chosen_layers_and_is_loaded_anywhere(tmp_path, name):
    """Layers that change nothing are left out: the copy says what the whole says."""
    source = tmp_path / "source"
    if name == "tiny":
        tiny_model.build(source)
    else:
        families.build(name, source, num_hidden_layers=4)
    model = loaded(source)
    chosen = [0, 2, 3] if name != "tiny" else [0, 1, 2]
    [left_out] = {0, 1, 2, 3} - set(chosen)
    with torch.no_grad():
        for parameter in model.model.layers[left_out].parameters():
            parameter.zero_()  # a residual connection alone is left
            if name == "tiny" and parameter.dim() == 1:
                parameter.fill_(-1.0)  # Gemma's norms multiply by one more than that
    ids = torch.arange(6, 30).unsqueeze(0)
    expected = model(input_ids=ids).logits
    copy = with_layers(model, chosen)
    assert copy.config.num_hidden_layers == 3
    assert torch.allclose(copy(input_ids=ids).logits, expected, atol=1e-5)
    assert model.config.num_hidden_layers == 4, "the source is as it was"

    save_copy(copy, source, tmp_path / "copy")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "copy")
    assert again.dtype == torch.bfloat16
    assert again.generation_config.eos_token_id == model.generation_config.eos_token_id
    assert kinds_of_layers(again.config) == kinds_of_layers(model.config)[:3]
    tied = model.config.tie_word_embeddings
    own = again.get_input_embeddings().weight is again.get_output_embeddings().weight
    assert own == tied
    assert (tmp_path / "copy" / "tokenizer.json").is_file()


def test_a_model_whose_layers_lie_elsewhere_is_refused():
    model = torch.nn.Linear(1, 1)
    model.config = type("Config", (), {"model_type": "odd", "num_hidden_layers": 2})()
    with pytest.raises(BadDataError, match=r"type odd .* training\.distillation\.student"):
        with_layers(model, [0])
