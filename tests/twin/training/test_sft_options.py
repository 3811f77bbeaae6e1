"""What a recipe may ask of the first stage: packing, the best checkpoint, early stopping, noise,
and the ways of training: adapters of two kinds, or all weights."""

import json
from itertools import pairwise

import pytest
import torch
from safetensors.torch import load_file

from tests import families
from tests.twin.training.rows import instruct_rows, losses, section, tiny_trainer
from twin.models.adapters import is_adapter, merge_adapter
from twin.settings import Settings
from twin.training.engine import load_for_training, save_trained, sft_trainer

PACKED = section(packing=True, batch_size=1, max_length=200, max_steps=2)


def log_probabilities(trainer, batch):
    trainer.model.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        return trainer.model(**batch, fused_lm_head=True).log_probs[0]


@pytest.mark.parametrize("family", ["gemma3", "gemma2", "llama3", "qwen2"])
def test_no_packed_sample_sees_another(tmp_path, family):
    """On processors, where the mask is all that keeps them apart: windows and full attention."""
    base = families.build(family, tmp_path / "base")
    model, chat = load_for_training(base, Settings(threads=1), PACKED)
    rows = instruct_rows(12)
    trainer = sft_trainer(model, chat, PACKED, tmp_path / "trainer", rows, [])
    batch = max(trainer.get_train_dataloader(), key=lambda b: int((b["labels"] != -100).sum()))
    assert "attention_mask" not in batch
    starts = [*(batch["position_ids"][0] == 0).nonzero().flatten().tolist()]
    samples = [(a, b) for a, b in pairwise(starts) if b - a > 1]
    assert len(samples) > 2
    packed = log_probabilities(trainer, batch)
    for first, last in samples:
        ids = batch["input_ids"][:, first:last]
        labels = batch["labels"][:, first:last]
        alone = {"input_ids": ids, "labels": labels, "attention_mask": torch.ones_like(ids)}
        own = packed[first : last - 1]
        assert torch.allclose(own, log_probabilities(trainer, alone), atol=0.05), "as if alone"
    changed = {**batch, "input_ids": batch["input_ids"].clone()}
    first, last = samples[0]
    changed["input_ids"][0, first:last] = 77
    others = log_probabilities(trainer, changed)
    assert torch.equal(others[last:], packed[last:])
    assert not torch.equal(others[first : last - 1], packed[first : last - 1])


def test_a_packed_row_holds_many_samples_and_all_that_is_learned(tiny, tmp_path):
    rows = instruct_rows(20)
    trainer = tiny_trainer(tiny, tmp_path, PACKED, rows)
    batches = list(trainer.get_train_dataloader())
    assert len(batches) < len(rows) / 2
    learned = sum(int((batch["labels"] != -100).sum()) for batch in batches)
    assert learned == sum(len(row["labels"]) - 3 for row in rows)
    trainer.train()
    assert losses(trainer)[2] < 10


BEST = section(max_steps=40, save_steps=2, learning_rate=2e-2, early_stopping=2, checkpoints_kept=1)


def test_a_training_that_no_longer_learns_stops_and_ends_with_its_best(tiny, tmp_path):
    """Samples that are learned by heart, validated on others: the loss of these rises soon."""
    trainer = tiny_trainer(tiny, tmp_path, BEST, instruct_rows(4), instruct_rows(4, seed=9))
    trainer.train()
    curve = {e["step"]: e["eval_loss"] for e in trainer.state.log_history if "eval_loss" in e}
    best = min(curve, key=curve.get)
    assert trainer.state.global_step == best + 4 < 40, "two checkpoints later"
    assert trainer.state.best_global_step == best
    saved = load_file(tmp_path / f"checkpoint-{best}" / "adapter_model.safetensors")
    save_trained(trainer, tmp_path / "ended")
    ended = load_file(tmp_path / "ended" / "adapter_model.safetensors")
    assert all(torch.equal(ended[name], value) for name, value in saved.items())
    assert float(trainer.evaluate()["eval_loss"]) == pytest.approx(curve[best], rel=1e-4)


def test_noise_is_on_the_embeddings_in_training_only(tiny, tmp_path):
    plain = tiny_trainer(tiny, tmp_path / "a", section(max_steps=2))
    noisy = tiny_trainer(tiny, tmp_path / "b", section(max_steps=2, noise=15.0))
    for trainer in (plain, noisy):
        trainer.train()
    assert losses(plain)[1] != losses(noisy)[1]
    assert losses(plain)[1] == pytest.approx(losses(noisy)[1], rel=0.2)
    ids = torch.arange(10, 20).unsqueeze(0)
    embed = noisy.model.get_input_embeddings()
    assert torch.equal(embed(ids), embed(ids)), "the noise is gone after the training"


@pytest.mark.parametrize("method", ["lora", "dora", "full"])
def test_what_each_way_trains_and_that_it_becomes_one_model(tiny, tmp_path, method):
    rate = 1e-3 if method == "full" else 1e-2
    recipe = section(max_steps=14, learning_rate=rate, epochs=2)
    recipe = recipe.model_copy(update={"method": method})
    trainer = tiny_trainer(tiny, tmp_path / "trainer", recipe)
    trained = [name for name, p in trainer.model.named_parameters() if p.requires_grad]
    assert any("magnitude" in name for name in trained) == (method == "dora")
    assert any("embed_tokens" in name for name in trained) == (method == "full")
    assert all(p.dtype == torch.float32 for p in trainer.model.parameters() if p.requires_grad)
    trainer.train()
    curve = list(losses(trainer).values())
    assert sum(curve[-4:]) < sum(curve[:4])
    save_trained(trainer, tmp_path / "trained")
    assert is_adapter(tmp_path / "trained") == (method != "full")
    merge_adapter(tiny, tmp_path / "trained", tmp_path / "whole")
    weights = load_file(tmp_path / "whole" / "model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.bfloat16}
    before = load_file(tiny / "model.safetensors")
    assert weights.keys() == before.keys()
    changed = {name for name in weights if not torch.equal(weights[name], before[name])}
    assert any("mlp" in name for name in changed)
    assert ("model.embed_tokens.weight" in changed) == (method == "full")
    config = json.loads((tmp_path / "whole" / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    whole, _ = load_for_training(tmp_path / "whole", Settings(threads=1), section())
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        ids = torch.tensor([instruct_rows(1)[0]["input_ids"]])
        trainer.model.eval()
        ours, theirs = trainer.model(input_ids=ids).logits, whole(input_ids=ids).logits
    assert torch.allclose(ours.float(), theirs.float(), atol=0.1)
