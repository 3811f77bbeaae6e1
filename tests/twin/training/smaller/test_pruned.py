"""What pruning leaves: the least important goes, and a model of the family stays."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests import families, tiny_model
from tests.twin.training.rows import instruct_rows, section, tiny_trainer
from twin.domain.errors import BadDataError
from twin.recipes import PruningSection
from twin.training.smaller.importance import (
    importance_of_channels,
    influence_of_layers,
    layers_of,
)
from twin.training.smaller.layers import save_copy
from twin.training.smaller.pruned import keep_zeros, linear_layers, prune, sparsity_of

TEXTS = [list(range(6, 40)), list(range(50, 61)), list(range(100, 130))]


def loaded(folder, dtype=torch.float32):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


@pytest.fixture
def llama(tmp_path):
    """Folder of a model of four layers of one kind."""
    return families.build("llama3", tmp_path / "llama", num_hidden_layers=4)


def logits(model):
    with torch.inference_mode():
        return model(input_ids=torch.tensor([TEXTS[0]])).logits.float()


def silence(layer):
    """Make a layer change nothing."""
    with torch.no_grad():
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()


def test_a_layer_that_changes_nothing_has_no_influence_and_goes(llama, tmp_path):
    model = loaded(llama)
    silence(layers_of(model)[2])
    influence = influence_of_layers(model, TEXTS)
    assert influence[2] == pytest.approx(0.0, abs=1e-6)
    assert min(influence[:2] + influence[3:]) > 0.01
    expected = logits(model)
    pruned = prune(model, PruningSection(method="layers", share=0.25), TEXTS)
    assert pruned.kept == "layers 0, 1, 3 of 4"
    assert pruned.measured == tuple(influence)
    assert torch.allclose(logits(pruned.model), expected, atol=1e-4)
    save_copy(pruned.model, llama, tmp_path / "made")
    assert loaded(tmp_path / "made").config.num_hidden_layers == 3


def test_influence_is_a_mean_over_tokens_of_one_less_the_cosine(llama):
    model = loaded(llama)
    states = []
    for text in TEXTS:
        with torch.inference_mode():
            found = model(input_ids=torch.tensor([text]), output_hidden_states=True)
        states.append([each[0] for each in found.hidden_states[:3]])
    for layer in range(2):
        before = torch.cat([each[layer] for each in states])
        after = torch.cat([each[layer + 1] for each in states])
        expected = 1 - torch.cosine_similarity(before, after, dim=-1).mean()
        found = influence_of_layers(model, TEXTS)[layer]
        assert found == pytest.approx(float(expected), abs=1e-5)


def test_gemmas_layers_stay_in_places_of_their_kind(tmp_path):
    model = loaded(tiny_model.build(tmp_path / "tiny"))
    pruned = prune(model, PruningSection(method="layers", share=0.5), TEXTS)
    assert pruned.model.config.layer_types == ["sliding_attention"] * 2
    assert pruned.kept.endswith("of 4")
    assert "3" not in pruned.kept.removesuffix(" of 4"), "the layer that sees all has no place"


@pytest.mark.parametrize("name", ["tiny", "llama"])
def test_channels_that_nothing_reads_go_and_the_model_says_the_same(llama, tmp_path, name):
    folder = tiny_model.build(tmp_path / "tiny") if name == "tiny" else llama
    model = loaded(folder)
    width = model.config.intermediate_size
    idle = torch.arange(width) % 4 == 1  # a quarter of them
    with torch.no_grad():
        for number, layer in enumerate(layers_of(model)):
            own = idle.roll(number)  # other ones in each layer
            layer.mlp.down_proj.weight[:, own] = 0.0
    expected = logits(model)
    assert all(
        torch.equal(worth == 0, idle.roll(number))
        for number, worth in enumerate(importance_of_channels(model, TEXTS))
    )
    pruned = prune(model, PruningSection(method="channels", share=0.25), TEXTS)
    left = width * 3 // 4
    assert pruned.kept == f"{left} of {width} channels a layer"
    assert pruned.measured == pytest.approx([0.0] * len(layers_of(pruned.model)))
    assert torch.allclose(logits(pruned.model), expected, atol=1e-4)
    save_copy(pruned.model, folder, tmp_path / "made")
    again = loaded(tmp_path / "made")
    assert again.config.intermediate_size == left
    assert torch.allclose(logits(again), expected, atol=0.3)


def test_importance_is_activation_times_weight(llama):
    model = loaded(llama)
    reader = layers_of(model)[1].mlp.down_proj
    seen = []
    handle = reader.register_forward_hook(lambda _m, inputs, _o: seen.append(inputs[0][0]))
    for text in TEXTS:
        with torch.inference_mode():
            model(input_ids=torch.tensor([text]))
    handle.remove()
    states = torch.cat(seen).double()
    expected = states.square().mean(0).sqrt() * reader.weight.detach().double().norm(dim=0)
    assert torch.allclose(importance_of_channels(model, TEXTS)[1], expected)


def test_channels_are_counted_in_what_engines_pack(llama):
    model = loaded(llama)  # 128 channels: four groups of 32
    pruned = prune(model, PruningSection(method="channels", share=0.4), TEXTS)
    assert pruned.model.config.intermediate_size == 64, "1.6 groups are two"


def test_the_smallest_weights_of_each_layer_become_zero(llama):
    model = loaded(llama, torch.bfloat16)
    before = [layer.weight.detach().clone() for layer in linear_layers(model)]
    head = model.get_output_embeddings().weight.detach().clone()
    pruned = prune(model, PruningSection(method="magnitude", share=0.3), TEXTS)
    assert pruned.sparsity == sparsity_of(pruned.model) == pytest.approx(0.3, abs=0.001)
    for was, layer in zip(before, linear_layers(pruned.model), strict=True):
        gone = layer.weight == 0
        assert float(gone.float().mean()) == pytest.approx(0.3, abs=0.002)
        assert was[gone].abs().max() <= was[~gone].abs().min()
        assert torch.equal(layer.weight[~gone], was[~gone])
    assert torch.equal(model.get_output_embeddings().weight, head)


def test_one_goes_at_least_and_one_stays(llama):
    def left(share):
        pruned = prune(loaded(llama), PruningSection(method="layers", share=share), TEXTS)
        return pruned.model.config.num_hidden_layers

    assert (left(0.01), left(0.5), left(0.99)) == (3, 2, 1)


def test_what_cannot_be_pruned_so_is_refused(tmp_path):
    one = loaded(families.build("llama3", tmp_path / "one", num_hidden_layers=1))
    with pytest.raises(BadDataError, match="1 layers, none of which can go"):
        prune(one, PruningSection(method="layers"), TEXTS)
    phi = loaded(families.build("phi3", tmp_path / "phi"))
    with pytest.raises(BadDataError, match=r"phi3 have other feed-forward parts"):
        prune(phi, PruningSection(method="channels"), TEXTS)


def test_zeros_stay_zero_in_training(tmp_path):
    folder = tiny_model.build(tmp_path / "tiny")
    model = loaded(folder)
    save_copy(
        prune(model, PruningSection(method="magnitude", share=0.5), TEXTS).model,
        folder,
        tmp_path / "zeros",
    )
    recipe = section(max_steps=3, weight_decay=0.1).model_copy(update={"method": "full"})
    trainer = tiny_trainer(tmp_path / "zeros", tmp_path / "out", recipe, instruct_rows(6))
    keep_zeros(trainer.model)
    zeros = [layer.weight == 0 for layer in linear_layers(trainer.model)]
    before = [layer.weight.detach().clone() for layer in linear_layers(trainer.model)]
    trainer.train()
    for zero, was, layer in zip(zeros, before, linear_layers(trainer.model), strict=True):
        assert torch.equal(layer.weight == 0, zero)
        assert not torch.equal(layer.weight, was), "the others learn"
