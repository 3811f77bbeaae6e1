"""The trainers' batches: of few different lengths on a processor, so that little is compiled."""

import pytest

from tests import tiny_model
from twin.recipes import TrainingSection
from twin.settings import Settings
from twin.training.engine import load_for_training, sft_trainer
from twin.training.preference_trainers import dpo_trainer
from twin.training.trainer_arguments import CPU_LENGTHS

SECTION = TrainingSection.model_validate({"sft": {"batch_size": 2}, "dpo": {"batch_size": 1}})
LENGTHS = (7, 30, 63, 64, 65, 100)


@pytest.fixture
def loaded(tmp_path):
    return load_for_training(tiny_model.build(tmp_path / "tiny"), Settings(), SECTION)


def tokens(count):
    return [10 + number % 50 for number in range(count)]


def lengths(trainer):
    return {batch["input_ids"].shape[1] for batch in trainer.get_train_dataloader()}


def test_samples_are_padded_to_few_lengths_and_padding_is_not_learned(loaded, tmp_path):
    rows = [
        {"input_ids": tokens(n), "labels": [-100] * 3 + tokens(n)[3:], "length": n} for n in LENGTHS
    ]
    trainer = sft_trainer(*loaded, SECTION, tmp_path / "scratch", rows, rows)
    assert lengths(trainer) == {CPU_LENGTHS, 2 * CPU_LENGTHS}
    batches = [*trainer.get_train_dataloader(), *trainer.get_eval_dataloader()]
    assert sum(int((batch["labels"] != -100).sum()) for batch in batches) == 2 * sum(
        n - 3 for n in LENGTHS
    )


def test_pairs_are_padded_to_few_lengths(loaded, tmp_path):
    from peft import get_peft_model

    from twin.training.engine import lora_config

    model, chat = loaded
    adapted = get_peft_model(model, lora_config(SECTION.lora))
    rows = [
        {"prompt_ids": tokens(n), "chosen_ids": tokens(5), "rejected_ids": tokens(3)}
        for n in LENGTHS
    ]
    trainer = dpo_trainer(adapted, chat, SECTION, tmp_path / "scratch", rows)
    assert lengths(trainer) == {CPU_LENGTHS, 2 * CPU_LENGTHS}
