"""Rows for trainers of the tiny model: few, of different lengths, the same each time."""

import random

from tests import tiny_model
from twin.recipes import TrainingSection
from twin.settings import Settings
from twin.training.engine import load_for_training, sft_trainer


def section(**sft):
    """A recipe's section with these values of the first stage, over small ones."""
    small = {"batch_size": 2, "max_steps": 9, "save_steps": 4, "learning_rate": 2e-3}
    return TrainingSection.model_validate({"sft": {**small, **sft}})


def instruct_rows(count=14, seed=1):
    """Rows of instruct samples whose first three tokens are the prompt."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        ids = [10 + draw.randrange(200) for _ in range(draw.randrange(8, 60))]
        rows.append({"input_ids": ids, "labels": [-100] * 3 + ids[3:], "length": len(ids)})
    return rows


def tiny_trainer(folder, scratch, recipe, rows=None, validation=()):
    """The trainer of the first stage on the tiny model in ``folder`` (made if it is missing)."""
    if not (folder / "model.safetensors").is_file():
        tiny_model.build(folder)
    model, chat = load_for_training(folder, Settings(threads=1), recipe)
    return sft_trainer(model, chat, recipe, scratch, rows or instruct_rows(), list(validation))


def losses(trainer):
    """Step to loss, as logged."""
    history = trainer.state.log_history
    return {entry["step"]: entry["loss"] for entry in history if "loss" in entry}
