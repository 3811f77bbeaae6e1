"""The methods of the second stage: each learns from the same rows, as its authors mean it."""

import pytest
import torch
from peft import get_peft_model

from tests import tiny_model
from twin.recipes import TrainingSection
from twin.settings import Settings
from twin.training.engine import load_for_training, lora_config
from twin.training.preference_measures import score_pairs
from twin.training.preference_trainers import dpo_trainer, labelled_rows, unpaired_rows

ROWS = [
    {"prompt_ids": [9, n], "chosen_ids": [n + 1, n + 2, 7], "rejected_ids": [n + 3, n + 4]}
    for n in range(20, 32)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


def section(method="dpo", training="lora", **dpo):
    small = {"method": method, "max_steps": 8, "learning_rate": 2e-3, "batch_size": 4}
    return TrainingSection.model_validate({"method": training, "dpo": {**small, **dpo}})


def loaded(folder, recipe):
    model, chat = load_for_training(folder, Settings(threads=1), recipe)
    if recipe.method == "full":
        reference, _ = load_for_training(folder, Settings(threads=1), TrainingSection())
        return model, chat, reference
    torch.manual_seed(5)
    adapted = get_peft_model(model, lora_config(recipe.lora, dora=recipe.method == "dora"))
    return adapted, chat, None


@pytest.mark.parametrize(
    ("method", "training"),
    [("dpo", "lora"), ("kto", "lora"), ("orpo", "lora"), ("dpo", "full"), ("dpo", "dora")],
)
def test_each_method_comes_to_prefer_the_chosen(folder, tmp_path, method, training):
    recipe = section(method, training)
    model, chat, reference = loaded(folder, recipe)
    before = score_pairs(model, ROWS, 4)
    trainer = dpo_trainer(model, chat, recipe, tmp_path, ROWS, reference)
    trainer.train()
    after = score_pairs(trainer.model, ROWS, 4)
    gained = sum(after.chosen) - sum(before.chosen)
    lost = sum(after.rejected) - sum(before.rejected)
    assert gained > lost + 1
    assert all(map(float.__lt__, before.chosen, after.chosen)) or method != "orpo"


def test_kto_sees_each_text_once_and_foreign_ones_beside():
    texts = unpaired_rows(ROWS, 4, seed=1)
    assert len(texts) == 2 * len(ROWS)
    wanted = {(tuple(r["prompt_ids"]), tuple(r["chosen_ids"]), True) for r in ROWS}
    wanted |= {(tuple(r["prompt_ids"]), tuple(r["rejected_ids"]), False) for r in ROWS}
    assert {
        (tuple(t["prompt_ids"]), tuple(t["completion_ids"]), t["label"]) for t in texts
    } == wanted
    for start in range(0, len(texts), 4):
        batch = texts[start : start + 4]
        own = [text["completion_ids"] for text in batch]
        assert [text["KL_completion_ids"] for text in batch] == [own[-1], *own[:-1]]
    assert unpaired_rows(ROWS, 4, seed=1) == texts
    assert unpaired_rows(ROWS, 4, seed=2) != texts


def test_orpo_labels_the_texts_and_not_the_prompt():
    (row,) = labelled_rows([{"prompt_ids": [1, 2], "chosen_ids": [3, 4], "rejected_ids": [5]}])
    assert row["chosen_input_ids"] == [1, 2, 3, 4]
    assert row["chosen_labels"] == [-100, -100, 3, 4]
    assert row["chosen_attention_mask"] == [1, 1, 1, 1]
    assert row["rejected_input_ids"] == [1, 2, 5]
    assert row["rejected_labels"] == [-100, -100, 5]
    assert row["prompt_input_ids"] == [1, 2]


def test_kto_with_a_single_text_a_batch_is_refused_when_the_recipe_is_read():
    with pytest.raises(ValueError, match="set batch_size to 2 or more"):
        section("kto", batch_size=1)
