"""Continued pretraining: the author's passages once each, learned before the samples are."""

import mlflow
import pytest

from tests import tiny_model
from tests.twin.datasets.sets import sample
from twin.domain.errors import BadDataError, TryAgainError
from twin.domain.sample import Maker
from twin.models.formats.chat_format import ChatFormat
from twin.recipes import TrainingSection
from twin.training.plan import plan_training
from twin.training.pretraining import as_first_stage, passage_rows
from twin.training.sft import run_sft

TEXT = "A document is what the author published. Its revision is the hash of its text."


@pytest.fixture(scope="module")
def chat(tmp_path_factory):
    return ChatFormat.load(tiny_model.build(tmp_path_factory.mktemp("tiny")))


def test_each_passage_is_learned_once_wholly_and_with_its_end(chat):
    samples = [
        sample("a", answer=TEXT),
        sample("b", answer=TEXT),
        sample("c", answer="Written by a person.", maker=Maker.WRITTEN),
        sample("d", answer="Another passage."),
    ]
    rows = passage_rows(chat, samples, 1000)
    decoded = [chat.tokenizer.decode(row["input_ids"]) for row in rows]
    assert decoded == [f"<bos>{TEXT}<eos>", "<bos>Another passage.<eos>"]
    for row in rows:
        assert row["labels"] == row["input_ids"]
        assert row["length"] == len(row["input_ids"])


def test_a_long_passage_is_cut_and_nothing_of_it_is_lost(chat):
    (whole,) = passage_rows(chat, [sample("a", answer=TEXT)], 1000)
    parts = passage_rows(chat, [sample("a", answer=TEXT)], 7)
    assert [token for part in parts for token in part["input_ids"]] == whole["input_ids"]
    assert {part["length"] for part in parts[:-1]} == {7}


def test_its_values_are_those_of_a_first_stage():
    values = {"pretraining": {"epochs": 2, "learning_rate": 3e-5, "max_length": 99}}
    made = as_first_stage(TrainingSection.model_validate(values)).sft
    assert (made.epochs, made.learning_rate, made.max_length) == (2.0, 3e-5, 99)


def changed(world, **values):
    section = world.recipe.training.pretraining.model_copy(update=values)
    training = world.recipe.training.model_copy(update={"pretraining": section})
    world.recipe = world.recipe.model_copy(update={"training": training})


def test_it_comes_before_the_samples_and_goes_on_when_it_was_interrupted(world, monkeypatch):
    plain = plan_training(world.recipe, world.settings, world.files)
    changed(world, epochs=1.0, max_steps=4, save_steps=2, batch_size=2)
    plan = plan_training(world.recipe, world.settings, world.files)
    assert plan.sft != plain.sft

    def fail(*_args, **_kwargs):
        raise TryAgainError("the second stage is not begun")

    with monkeypatch.context() as broken:
        broken.setattr("twin.training.sft.load_pretrained", fail)
        with pytest.raises(TryAgainError, match="not begun"):
            world.run(run_sft)
    assert world.files.is_published(plan.pretrained)
    assert not world.files.is_published(plan.sft_adapter)
    result = world.run(run_sft)
    assert "pretraining_steps" not in result.detail, "it is not done again"
    assert result.detail["steps"] == 6
    client = mlflow.MlflowClient(world.settings.mlflow_tracking_uri)
    run = result.ids["mlflow_run"]
    steps = [point.step for point in client.get_metric_history(run, "pretraining.loss")]
    assert steps == [1, 2, 3, 4]
    assert [point.step for point in client.get_metric_history(run, "loss")] == [1, 2, 3, 4, 5, 6]
    assert world.files.is_published(plan.sft_adapter)
    assert not world.files.exists(plan.pretrained)


def test_without_a_passage_it_is_said_what_to_do(world, monkeypatch):
    changed(world, epochs=1.0)
    monkeypatch.setattr("twin.training.pretraining.passage_rows", lambda *_: [])
    with pytest.raises(BadDataError, match=r"set training\.pretraining\.epochs to 0"):
        world.run(run_sft)
