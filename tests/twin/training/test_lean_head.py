"""The lean head against TRL's own: the same log-probabilities, loss and gradients."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
from trl.trainer.utils import add_fused_lm_head

from tests import tiny_model
from twin.training.lean_head import _keep_activations_in_bf16, _patch


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


def adapted(folder):
    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    model = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return model


def batch():
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(6, 600, (3, 40), generator=generator)
    mask = torch.ones_like(ids)
    mask[0, 30:] = 0
    labels = ids.clone()
    labels[:, :15] = -100
    labels[mask == 0] = -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def run(model):
    with torch.autocast("cpu", torch.bfloat16):
        output = model(**batch(), fused_lm_head=True, num_items_in_batch=3)
    (-output.log_probs.sum() / 10).backward()
    gradients = {n: p.grad.float() for n, p in model.named_parameters() if p.grad is not None}
    return output, gradients


def test_it_gives_what_trl_gives(tiny):
    ours, theirs = adapted(tiny), adapted(tiny)
    add_fused_lm_head(theirs.get_base_model(), outputs=("log_probs", "entropy", "is_top1"))
    _patch(ours.get_base_model())
    _keep_activations_in_bf16(ours)
    found, our_gradients = run(ours)
    expected, their_gradients = run(theirs)
    assert found.log_probs.shape == expected.log_probs.shape
    assert torch.allclose(found.log_probs, expected.log_probs, atol=0.1)
    assert torch.equal(found.label_mask, expected.label_mask)
    assert our_gradients.keys() == their_gradients.keys()
    ours_flat = torch.cat([g.flatten() for g in our_gradients.values()])
    theirs_flat = torch.cat([g.flatten() for g in their_gradients.values()])
    assert torch.cosine_similarity(ours_flat, theirs_flat, dim=0) > 0.995
    assert 0.97 < ours_flat.norm() / theirs_flat.norm() < 1.03


def test_the_models_own_forward_is_left_as_it_was(tiny):
    model = adapted(tiny)
    with torch.no_grad():
        before = model(input_ids=batch()["input_ids"]).logits
        _patch(model.get_base_model())
        assert torch.equal(model(input_ids=batch()["input_ids"]).logits, before)


def test_a_batch_without_answers_is_a_finite_zero(tiny):
    model = adapted(tiny)
    _patch(model.get_base_model())
    inputs = batch()
    inputs["labels"] = torch.full_like(inputs["labels"], -100)
    output = model(**inputs, fused_lm_head=True)
    assert float(output.loss) == 0.0
