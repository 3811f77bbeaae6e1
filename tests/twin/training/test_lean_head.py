"""The lean head against TRL's own: the same log-probabilities, loss and gradients."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
from trl.trainer.utils import add_fused_lm_head, use_adapter

from tests import families, tiny_model
from tests.twin.models.test_output_head import OTHERS, other
from twin.models.formats.chat_format import ChatFormat
from twin.recipes import TrainingSection
from twin.training.lean_head import _keep_activations_in_bf16, _patch, use_lean_head
from twin.training.preference_trainers import dpo_trainer
from twin.training.trainer_arguments import sft_arguments


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


SFT_TOLERANCE = 2e-3
"""Of a loss: relative to that of all logits, which the same bf16 products give. Ours reads the
likeliest word's probability back from bf16, which holds it to one part in 256."""
NATS = 0.05
"""Of an answer's log-probability: some thirty tokens, each off by as much as that."""
KINDS = ["gemma2", "gemma3", "llama3", "qwen2", "cohere", "granite", "phi"]


@pytest.fixture(params=KINDS)
def kind(request):
    """The name of a family: those with capped, scaled and biased heads too."""
    return request.param


@pytest.fixture
def trainers_model(kind, tmp_path):
    """A model of this kind with an adapter that does something, and the family's tokenizer."""
    folder = families.build("llama3" if kind in OTHERS else kind, tmp_path / "base")
    chat = ChatFormat.load(folder)
    if kind in OTHERS:  # whose vocabulary is smaller
        chat.tokenizer.pad_token = chat.tokenizer.convert_ids_to_tokens(0)
    model = (
        other(kind).to(torch.bfloat16)
        if kind in OTHERS
        else AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    )
    torch.manual_seed(1)
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return adapted, chat


def full_log_probabilities(model, ids, mask, labels):
    """(rows,) sums over the labelled tokens, by the model's own logits in float32."""
    logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
    targets = labels[:, 1:]
    steps = logits.log_softmax(-1).gather(2, targets.clamp(min=0).unsqueeze(2)).squeeze(2)
    return (steps * (targets != -100)).sum(1)


def gradients_of(model, loss):
    model.zero_grad()
    loss.backward()
    found = {n: p.grad.float() for n, p in model.named_parameters() if p.grad is not None}
    return torch.cat([found[name].flatten() for name in sorted(found)])


def alike(ours, expected):
    assert torch.cosine_similarity(ours, expected, dim=0) > 0.995
    assert 0.98 < ours.norm() / expected.norm() < 1.02


def steps(seed, count=4):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randint(10, 250, (n,), generator=generator).tolist() for n in range(25, 25 + count)
    ]


def test_sft_of_every_family_has_the_loss_of_all_logits(trainers_model, tmp_path):
    model, chat = trainers_model
    rows = [{"input_ids": i, "labels": [-100] * 5 + i[5:], "length": len(i)} for i in steps(1)]
    trainer = adapter_trainer("sft", model, chat, tmp_path / "scratch", rows)
    (batch,) = trainer.get_train_dataloader()
    labelled = (batch["labels"][:, 1:] != -100).sum()
    with torch.autocast("cpu", torch.bfloat16):
        found = trainer.compute_loss(trainer.model, dict(batch))
        ours = gradients_of(trainer.model, found)
        sums = full_log_probabilities(
            trainer.model, batch["input_ids"], batch["attention_mask"], batch["labels"]
        )
        expected = -sums.sum() / labelled
        theirs = gradients_of(trainer.model, expected)
    assert float(found) == pytest.approx(float(expected), rel=SFT_TOLERANCE)
    alike(ours, theirs)


def test_dpo_of_every_family_has_the_loss_of_all_logits(trainers_model, tmp_path):
    model, chat = trainers_model
    pairs = zip(steps(2), steps(3), strict=True)
    rows = [{"prompt_ids": c[:5], "chosen_ids": c[5:], "rejected_ids": r[9:]} for c, r in pairs]
    trainer = adapter_trainer("dpo", model, chat, tmp_path / "scratch", rows)
    (batch,) = trainer.get_train_dataloader()
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
    sums = [batch["input_ids"], batch["attention_mask"], labels]
    for name, parameter in trainer.model.named_parameters():
        if "lora_B.default" in name:  # else policy and reference are the same
            parameter.data.mul_(1.5)
    with torch.autocast("cpu", torch.bfloat16):
        found = trainer.compute_loss(trainer.model, dict(batch))
        ours = gradients_of(trainer.model, found)
        policy = full_log_probabilities(trainer.model, *sums)
        with torch.no_grad(), use_adapter(trainer.model, "ref"):
            reference = full_log_probabilities(trainer.model, *sums)
        chosen, rejected = (policy - reference).chunk(2)
        expected = -torch.nn.functional.logsigmoid(0.1 * (chosen - rejected)).mean()
        theirs = gradients_of(trainer.model, expected)
    assert (chosen - rejected).abs().max() > 0.2, "the policy has moved"
    assert float(found) == pytest.approx(float(expected), abs=0.1 * 4 * NATS)
    alike(ours, theirs)


def adapter_trainer(stage, model, chat, scratch, rows):
    """The trainer of a stage on a model that has its adapter already."""
    section = TrainingSection.model_validate({stage: {"batch_size": 4}})
    if stage == "dpo":
        return dpo_trainer(model, chat, section, scratch, rows)
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**sft_arguments(section, scratch, validated=False)),
        train_dataset=Dataset.from_list(rows),
        processing_class=chat.tokenizer,
    )
    use_lean_head(trainer)
    return trainer


def test_what_is_the_likeliest_token_is_measured(tiny):
    ours, theirs = adapted(tiny), adapted(tiny)
    add_fused_lm_head(theirs.get_base_model(), outputs=("log_probs", "entropy", "is_top1"))
    _patch(ours.get_base_model())
    inputs = batch()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        best = ours(input_ids=inputs["input_ids"]).logits.argmax(-1)
        inputs["input_ids"][:, 16::2] = best[:, 15:-1:2]
        inputs["labels"] = torch.where(inputs["labels"] == -100, -100, inputs["input_ids"])
        found = ours(**inputs, fused_lm_head=True).is_top1
        expected = theirs(**inputs, fused_lm_head=True).is_top1
    assert (found == expected).float().mean() > 0.99, "but for words that are alike in bf16"
    assert found.any()
