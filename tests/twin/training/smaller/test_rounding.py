"""Weights that learn while they are rounded."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests import tiny_model
from tests.twin.training.rows import instruct_rows, section, tiny_trainer
from twin.training.smaller.divergence import learn_from
from twin.training.smaller.pruned import linear_layers
from twin.training.smaller.rounding import GROUP, RoundedWeight, round_weights, unround


@pytest.mark.parametrize(("bits", "steps"), [(8, 255), (4, 16)])
def test_a_group_has_as_many_values_as_its_bits_and_loses_half_a_step(bits, steps):
    weight = torch.randn(7, 4 * GROUP, generator=torch.Generator().manual_seed(1)) + 0.3
    rounded = RoundedWeight(bits)(weight)
    groups, made = weight.reshape(-1, GROUP), rounded.reshape(-1, GROUP)
    if bits == 8:
        scale = groups.abs().amax(1) / 127
    else:
        scale = (groups.amax(1).clamp(min=0) - groups.amin(1).clamp(max=0)) / 15
    assert ((groups - made).abs().amax(1) <= scale * 1.01).all()
    assert (groups - made).abs().mean() > 0.2 * scale.mean()
    multiples = made / scale.unsqueeze(1)
    assert torch.allclose(multiples, multiples.round(), atol=1e-3)
    assert max(len(set(row.round().tolist())) for row in multiples) <= steps
    assert torch.allclose(RoundedWeight(bits)(rounded), rounded, atol=1e-6), "round is round"
    assert torch.equal(RoundedWeight(bits)(torch.zeros(2, GROUP)), torch.zeros(2, GROUP))


def test_the_gradient_passes_as_if_nothing_were_rounded():
    weight = torch.randn(3, 2 * GROUP, requires_grad=True)
    outer = torch.randn(3, 2 * GROUP)
    (RoundedWeight(8)(weight) * outer).sum().backward()
    assert torch.equal(weight.grad, outer)


def test_training_brings_the_rounded_model_nearer_to_the_whole_one(tmp_path):
    """Which rounding alone does not: less is lost by an export in as many bits."""
    folder = tiny_model.build(tmp_path / "tiny")
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():  # a random model is sure of nothing: rounding would change little
        model.get_output_embeddings().weight.mul_(8)
        for layer in linear_layers(model):
            layer.weight.mul_(4)
    model.save_pretrained(folder)
    teacher = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    recipe = section(max_steps=16, learning_rate=1e-4, evaluations=1)
    recipe = recipe.model_copy(update={"method": "full"})
    rows = instruct_rows(8)
    trainer = tiny_trainer(folder, tmp_path / "out", recipe, rows, rows)
    for layer in (trainer.model.get_input_embeddings(), trainer.model.get_output_embeddings()):
        layer.requires_grad_(False)
    learn_from(trainer, teacher, 1.0)
    assert trainer.evaluate()["eval_loss"] < 0.001, "the same model"
    round_weights(trainer.model, 4)
    before = trainer.evaluate()["eval_loss"]
    assert before > 0.005
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < 0.85 * before
    weights = [layer.weight.detach().clone() for layer in linear_layers(trainer.model)]
    unround(trainer.model)
    for rounded, layer in zip(weights, linear_layers(trainer.model), strict=True):
        assert not torch.equal(layer.weight, rounded), "what has learned is not rounded"
        assert torch.equal(RoundedWeight(4)(layer.weight), rounded)
    names = set(trainer.model.state_dict())
    assert names == set(teacher.state_dict()), "saved and loaded as any model"
