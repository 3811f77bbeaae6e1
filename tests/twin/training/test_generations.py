"""What a model in training writes at checkpoints: read by people, and no part of the training."""

import json

import pytest
import torch

from tests.twin.training.rows import instruct_rows, losses, section, tiny_trainer
from twin.domain.errors import TryAgainError
from twin.models.formats.chat_format import ChatFormat
from twin.stores.generation_tables import COLUMNS, TABLE
from twin.training.generations import Generations

#: Dropout draws random numbers, which writing must not.
RECIPE = section(max_steps=4, save_steps=2, checkpoints_kept=2)
RECIPE = RECIPE.model_copy(update={"lora": RECIPE.lora.model_copy(update={"dropout": 0.1})})
HELD_OUT = instruct_rows(2, seed=5)


class Run:
    """Keeps the last table; away for the first so many times."""

    def __init__(self, away=0):
        self.away = away
        self.tables = []

    def log_table(self, table, path):
        if self.away:
            self.away -= 1
            raise TryAgainError("MLflow does not answer")
        self.tables.append((path, json.loads(table)))


@pytest.fixture
def trained(tiny, tmp_path):
    made = []

    def train(run=None, checkpoint=None, max_tokens=6):
        folder = tmp_path / f"trainer-{len(made)}"
        trainer = tiny_trainer(tiny, folder, RECIPE)
        if run is not None:
            writes = Generations(run, ChatFormat.load(tiny), HELD_OUT, max_tokens)
            if checkpoint is not None:
                writes.resume(checkpoint)
            trainer.add_callback(writes)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        made.append(trainer)
        return trainer, folder

    return train


def test_each_checkpoint_has_a_text_to_each_prompt_and_the_training_is_the_same(trained):
    plain, _ = trained()
    run = Run()
    shown, folder = trained(run)
    assert losses(shown) == losses(plain)
    weights = dict(plain.model.named_parameters())
    assert all(torch.equal(value, weights[name]) for name, value in shown.model.named_parameters())
    assert shown.model.training

    path, table = run.tables[-1]
    assert (path, table["columns"]) == (TABLE, list(COLUMNS))
    assert [row[0] for row in table["data"]] == [2, 2, 4, 4]
    tokenizer = shown.processing_class
    for (_, prompt, answer, _), row in zip(table["data"], [*HELD_OUT, *HELD_OUT], strict=True):
        assert prompt == tokenizer.decode(row["input_ids"][:3], skip_special_tokens=True)
        assert answer == tokenizer.decode(row["input_ids"][3:], skip_special_tokens=True)

    again = Run()
    resumed, _ = trained(again, folder / "checkpoint-2")
    assert losses(resumed) == losses(plain)
    assert again.tables[-1] == run.tables[-1]
    assert json.loads((folder / "checkpoint-2" / TABLE).read_text())["data"] == table["data"][:2]


def test_the_text_is_the_likeliest_one_and_no_longer_than_asked(trained, tiny):
    run = Run(away=1)
    trainer, _ = trained(run, max_tokens=3)
    assert len(run.tables) == 1, "MLflow was away at the first checkpoint"
    [*_, last] = run.tables[0][1]["data"]
    assert len(run.tables[0][1]["data"]) == 4
    ids = HELD_OUT[1]["input_ids"][:3]
    trainer.model.eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(3):
            scores = trainer.model(input_ids=torch.tensor([ids])).logits[0, -1]
            ids = [*ids, int(scores.argmax())]
    written = trainer.processing_class.decode(ids[3:], skip_special_tokens=True).strip()
    assert last[3] == written or written.startswith(last[3])
