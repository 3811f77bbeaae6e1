"""A step of SFT against TRL's own defaults: same model, same batch, same machine, in turns.

The base model's head has 262,144 words. What is compared is the time of one training step at four
samples of 200 tokens, 130 of them answer; figures are ratios, because machines differ.
"""

import os
import statistics
import time
from pathlib import Path

import pytest
import torch

from tests import tiny_model
from tests.conftest import ROOT
from twin.models.bases.base_models import prepare_base_model
from twin.models.bases.catalogue import CATALOGUE
from twin.recipes import TrainingSection
from twin.settings import Settings
from twin.training.engine import load_for_training, lora_config, sft_trainer

SAMPLES, TOKENS, PROMPT = 4, 200, 70
ROUNDS = 3


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The demo's base model; prepared where `make demo` prepares it, so mostly there already."""
    pytest.importorskip(CATALOGUE["gemma3-270m"].module)
    home = Path(os.environ.get("TWIN_HOME", ROOT / ".twin"))
    home = home if home.is_dir() else tmp_path_factory.mktemp("home")
    return prepare_base_model("gemma3-270m", Settings(home=home))


def rows(chat):
    ids = chat.tokenizer.encode(tiny_model.CORPUS * 8, add_special_tokens=False)
    texts = [ids[n * TOKENS : (n + 1) * TOKENS] for n in range(SAMPLES)]
    return [
        {"input_ids": text, "labels": [-100] * PROMPT + text[PROMPT:], "length": TOKENS}
        for text in texts
    ]


def trl_defaults(base, folder):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    model, chat = load_for_training(base, Settings(), TrainingSection())
    return SFTTrainer(
        model=model,
        args=SFTConfig(
            str(folder), per_device_train_batch_size=SAMPLES, report_to=[], use_cpu=True
        ),
        train_dataset=Dataset.from_list(rows(chat)),
        processing_class=chat.tokenizer,
        peft_config=lora_config(TrainingSection().lora),
    )


def ours(base, folder):
    model, chat = load_for_training(base, Settings(), TrainingSection())
    return sft_trainer(model, chat, TrainingSection(), folder, rows(chat), [])


def step(trainer, batch):
    """Seconds of one training step, and its loss."""
    trainer.model.train()
    started = time.perf_counter()
    # `Trainer.train` wraps the model so (both are set to bf16); a step by itself does not.
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = trainer.training_step(trainer.model, dict(batch), num_items_in_batch=None)
    trainer.model.zero_grad()
    return time.perf_counter() - started, float(loss)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_step_is_several_times_faster_than_trls_defaults(base, tmp_path):
    """Minutes. Buys: the figure of the training stage, and that speed changed no result."""
    trainers = {
        "TRL's defaults": trl_defaults(base, tmp_path / "a"),
        "ours": ours(base, tmp_path / "b"),
    }
    batches = {name: next(iter(t.get_train_dataloader())) for name, t in trainers.items()}
    for trainer in trainers.values():
        trainer.current_gradient_accumulation_steps = 1
    seconds = {name: [] for name in trainers}
    losses = {}
    for round_ in range(ROUNDS + 1):
        for name, trainer in trainers.items():
            taken, losses[name] = step(trainer, batches[name])
            if round_:  # the first one warms up
                seconds[name].append(taken)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in medians.items():
        print(f"\n{name}: {value:.2f} s a step, {SAMPLES * TOKENS / value:.0f} tokens/s", end="")
    ratio = medians["TRL's defaults"] / medians["ours"]
    print(f"\nratio {ratio:.1f}, {torch.get_num_threads()} threads")
    assert losses["ours"] == pytest.approx(losses["TRL's defaults"], rel=0.02)
    assert ratio > 2
