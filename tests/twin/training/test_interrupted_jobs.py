"""Jobs of training that are told to end, meet a broken loss, an absent store, or another job."""

import json
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest

from tests.twin.datasets.sets import pair, publish_pairs
from twin.domain.errors import BadDataError, TryAgainError
from twin.domain.sample import Split
from twin.stores.files import FileStore
from twin.training import steadfast
from twin.training.dpo import run_dpo
from twin.training.package import run_package
from twin.training.pairs import run_pairs
from twin.training.plan import plan_training
from twin.training.scratch import scratch_folder
from twin.training.sft import run_sft


def curve(world, result, name="loss"):
    """Step to loss or another metric, as MLflow has it."""
    client = mlflow.MlflowClient(world.settings.mlflow_tracking_uri)
    return {p.step: p.value for p in client.get_metric_history(result.ids["mlflow_run"], name)}


def plan_of(world):
    return plan_training(world.recipe, world.settings, world.files)


@pytest.fixture
def on_batch(monkeypatch):
    """Have something done in the middle of a training's batch of this number."""

    def arrange(number, act):
        original, seen = steadfast.Steadfast.training_step, []

        def training_step(self, *args, **kwargs):
            seen.append(None)
            original_loss = type(self).compute_loss

            def compute_loss(*inner, **named):
                loss = original_loss(self, *inner, **named)
                return act(loss) if len(seen) == number else loss

            self.compute_loss = compute_loss
            return original(self, *args, **kwargs)

        monkeypatch.setattr(steadfast.Steadfast, "training_step", training_step)

    return arrange


def sigterm(loss):
    os.kill(os.getpid(), signal.SIGTERM)
    return loss


def test_sigterm_saves_and_the_next_attempt_ends_as_if_nothing_had_been(
    world, on_batch, monkeypatch
):
    """Between two checkpoints of the schedule (2, 4, 6)."""
    on_batch(4, sigterm)
    with pytest.raises(TryAgainError, match=r"SIGTERM.* after step 3, which is saved") as told:
        world.run(run_sft)
    assert told.value.exit_code == 75
    plan = plan_of(world)
    assert world.files.names(f"{plan.sft}/checkpoints") == ["checkpoint-3"]
    assert not world.files.is_published(plan.sft_adapter)
    monkeypatch.undo()
    result = world.run(run_sft)
    assert result.detail["resumed_from"] == "checkpoint-3"
    resumed, tokens = curve(world, result), curve(world, result, "num_tokens")
    digest = world.files.published_digest(plan.sft_adapter)
    world.files.remove(plan.sft)
    again = world.run(run_sft)
    assert "resumed_from" not in again.detail
    assert curve(world, again) == resumed
    assert curve(world, again, "num_tokens") == tokens
    assert list(resumed) == [1, 2, 3, 4, 5, 6]
    assert world.files.published_digest(plan.sft_adapter) == digest


def test_a_loss_that_is_no_number_is_bad_data_and_the_checkpoint_stays(world, on_batch):
    on_batch(4, lambda loss: loss * float("nan"))
    with pytest.raises(BadDataError, match="the loss is nan in step 4") as broken:
        world.run(run_sft)
    assert broken.value.exit_code == 65
    plan = plan_of(world)
    assert world.files.names(f"{plan.sft}/checkpoints") == ["checkpoint-2"]
    assert not world.files.is_published(plan.sft_adapter)


def test_a_second_job_of_a_recipe_leaves_the_first_alone(world):
    with scratch_folder(world.settings, "sft-ann") as folder:
        (folder / "work").touch()
        with pytest.raises(TryAgainError, match="another job is at work on sft-ann"):
            world.run(run_sft)
        assert (folder / "work").exists()
    assert world.run(run_sft).detail["steps"] == 6


def test_a_store_that_is_away_for_a_while_costs_nothing(world, monkeypatch):
    """Away from the first checkpoint until the training waits for it at its end."""
    original, refused = FileStore.publish_folder, []

    def away(*args, **kwargs):
        refused.append(None)
        raise TryAgainError("the store does not answer")

    def come_back(_seconds):
        monkeypatch.setattr(FileStore, "publish_folder", original)

    monkeypatch.setattr(FileStore, "publish_folder", away)
    # Of that module alone: threads that others have left behind sleep by the same function.
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=come_back)
    monkeypatch.setattr("twin.training.patience.time", clock)
    result = world.run(run_sft)
    assert len(refused) >= 2
    assert result.detail["steps"] == 6
    plan = plan_of(world)
    assert world.files.is_published(plan.sft_adapter)
    assert not world.files.exists(f"{plan.sft}/checkpoints")


def test_what_the_trainer_ran_with_is_an_artifact_of_its_run(world):
    result = world.run(run_sft)
    uri = world.settings.mlflow_tracking_uri
    mlflow.set_tracking_uri(uri)
    path = mlflow.artifacts.download_artifacts(
        run_id=result.ids["mlflow_run"], artifact_path="trainer-arguments.json", tracking_uri=uri
    )
    said = json.loads(Path(path).read_text())
    sft = world.recipe.training.sft
    assert said["learning_rate"] == sft.learning_rate
    assert said["max_steps"] == 6
    assert said["weight_decay"] == 0.0
    run = mlflow.MlflowClient(uri).get_run(result.ids["mlflow_run"])
    assert {f"sft.{name}" for name in type(sft).model_fields} <= run.data.params.keys()


def test_a_run_shows_its_curves_its_texts_its_machine_and_its_price(world):
    world.settings = world.settings.model_copy(
        update={"gpu_price_per_hour": 3600.0, "gpu_tflops": 1.0}
    )
    result = world.run(run_sft)
    client = mlflow.MlflowClient(world.settings.mlflow_tracking_uri)
    run = client.get_run(result.ids["mlflow_run"])
    artifacts = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert {"curves.png", "generations.json", "trainer-arguments.json"} <= artifacts
    [table] = json.loads(run.data.tags["mlflow.loggedArtifacts"])
    assert table == {"path": "generations.json", "type": "table"}
    uri = world.settings.mlflow_tracking_uri
    path = mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id, artifact_path="generations.json", tracking_uri=uri
    )
    rows = json.loads(Path(path).read_text())["data"]
    assert [row[0] for row in rows] == [2, 2, 4, 4, 6, 6]
    metrics = run.data.metrics
    assert {"grad_norm", "learning_rate", "tokens_per_second", "memory_gib"} <= set(metrics)
    assert 0 < metrics["mfu"] < 1
    assert metrics["system/cpu_utilization_percentage"] >= 0
    # A unit of money a second.
    assert metrics["cost"] == pytest.approx(metrics["train_seconds"])
    assert result.detail["cost"] == pytest.approx(metrics["cost"], abs=1e-3)


def test_held_out_pairs_are_made_and_measured(world):
    pairs_section = world.recipe.training.dpo.pairs.model_copy(update={"max_held_out": 6})
    dpo = world.recipe.training.dpo.model_copy(
        update={"pairs": pairs_section, "max_steps": 12, "learning_rate": 5e-3}
    )
    training = world.recipe.training.model_copy(update={"dpo": dpo})
    world.recipe = world.recipe.model_copy(update={"training": training})
    world.run(run_sft)
    made = world.run(run_pairs)
    assert 0 < made.detail["held_out"] <= 6
    result = world.run(run_dpo)
    measures = result.detail["held_out"]
    assert measures["pairs"] == made.detail["held_out"]
    assert 0 <= measures["reward_accuracy"] <= 1
    assert measures["length_difference"] == pytest.approx(
        measures["chosen_tokens"] - measures["rejected_tokens"]
    )
    client = mlflow.MlflowClient(world.settings.mlflow_tracking_uri)
    metrics = client.get_run(result.ids["mlflow_run"]).data.metrics
    assert metrics["held_out.reward_margin"] == pytest.approx(measures["reward_margin"])
    assert "drift" in metrics


def test_a_model_that_drifts_too_far_is_stopped_and_it_is_said(world):
    world.run(run_sft)
    plan = plan_of(world)
    pairs = [pair(f"p{n}", split=Split.TRAIN) for n in range(8)]
    changed = world.job(run_dpo, dpo={"max_steps": 40, "learning_rate": 5e-2, "max_drift": 2.0})
    plan = plan_training(changed.recipe, world.settings, world.files)
    publish_pairs(world.settings, plan.manifest.version, plan.pairs, pairs)
    run_dpo(changed)
    assert changed.result.detail["steps"] < 40
    assert changed.result.detail["drift"] > 2.0
    assert "more than training.dpo.max_drift (2.0)" in changed.result.detail["stopped"]
    assert world.files.is_published(plan.dpo_adapter)


@pytest.mark.parametrize("method", ["full", "dora"])
def test_other_ways_of_training_go_the_whole_way(world, method):
    training = world.recipe.training.model_copy(update={"method": method})
    world.recipe = world.recipe.model_copy(update={"training": training})
    world.run_all(run_sft, run_pairs, run_dpo)
    done = world.run(run_package)
    assert done.counts.written == 1
