"""Preference training and packaging that are killed by SIGKILL, again and again, at random places.

Each attempt is a process that is forked from this one, so that nothing is imported anew.
"""

import random
from pathlib import Path

import mlflow
import pytest
import torch

from tests.twin import corpora
from tests.twin.datasets.sets import pair, publish_pairs
from tests.twin.training.rows import losses
from tests.twin.training.test_preference_trainers import ROWS, loaded
from twin.domain.errors import NothingToDo
from twin.domain.sample import Split
from twin.recipes import TrainingSection
from twin.stores.files import FileStore
from twin.stores.registry import CANDIDATE, Registry
from twin.stores.tracking import KEY_TAG
from twin.stores.weights import fetch_weights
from twin.training.checkpoints import Checkpoints
from twin.training.dpo import run_dpo
from twin.training.package import run_package
from twin.training.plan import plan_training
from twin.training.preference_trainers import dpo_trainer
from twin.training.sft import run_sft
from twin.training.steadfast import Steadfast

#: Whatever the store, the registry and the tracking server are told.
WRITES = (
    (FileStore, "publish_folder"), (FileStore, "write_bytes"), (Registry, "_send"),
    *((mlflow.MlflowClient, name) for name in (
        "create_run", "update_run", "log_batch", "log_text", "set_terminated",
    )),
)  # fmt: skip


@pytest.fixture
def apart(world):
    """The world with a training that no other test has: MLflow is shared."""
    world.recipe = corpora.write_recipe(
        world.settings.recipes,
        Path(world.recipe.training.base_model),
        training={"seed": 4711, "sft": {"max_steps": 2}, "dpo": {"max_steps": 6}},
    )
    world.run(run_sft)
    return world


def runs_of(world, key):
    client = mlflow.MlflowClient(world.settings.mlflow_tracking_uri)
    experiment = client.get_experiment_by_name("ann").experiment_id
    return client.search_runs([experiment], f"tags.`{KEY_TAG}` = '{key}'")


def curve(world, run):
    client = mlflow.MlflowClient(world.settings.mlflow_tracking_uri)
    return {point.step: point.value for point in client.get_metric_history(run.info.run_id, "loss")}


def test_preference_training_killed_at_random_steps_ends_as_if_it_had_not_been(apart, is_killed):
    plan = plan_training(apart.recipe, apart.settings, apart.files)
    pairs = [pair(f"p{number}", split=Split.TRAIN) for number in range(8)]
    publish_pairs(apart.settings, plan.manifest.version, plan.pairs, pairs)
    apart.run(run_dpo)
    digest = apart.files.published_digest(plan.dpo_adapter)
    [undisturbed] = runs_of(apart, plan.dpo)
    apart.files.remove(plan.dpo)

    draw = random.Random(29)
    batches, after_a_checkpoint = (Steadfast, "training_step"), (Checkpoints, "_drop_before")
    for place, call in (
        (batches, draw.randint(0, 1)),  # nothing is saved yet
        (after_a_checkpoint, 0),
        (batches, draw.randint(0, 2)),
    ):
        assert is_killed(lambda: apart.run(run_dpo), (place,), call)
        assert not apart.files.is_published(plan.dpo_adapter)
    result = apart.run(run_dpo)
    assert result.detail["steps"] == 6
    assert result.detail["resumed_from"] in {"checkpoint-2", "checkpoint-4"}
    assert apart.files.published_digest(plan.dpo_adapter) == digest
    assert apart.files.names(plan.dpo) == ["adapter"]
    runs = {run.info.run_id: run for run in runs_of(apart, plan.dpo)}
    del runs[undisturbed.info.run_id]
    [resumed] = runs.values()
    assert resumed.info.status == "FINISHED"
    assert curve(apart, resumed) == curve(apart, undisturbed)


def test_a_package_killed_before_each_of_its_writes_is_one_version(apart, is_killed):
    apart.without_preferences()
    apart.run(run_dpo)
    for call in range(40):
        if not is_killed(lambda: apart.run(run_package), WRITES, call):
            break
    assert call >= 3, (
        f"{call}: weights, note, run, version: each attempt comes further than the last"
    )
    plan = plan_training(apart.recipe, apart.settings, apart.files)
    with Registry(apart.settings) as registry:
        made = registry.by_alias("twin-ann", CANDIDATE)
        same = [
            version
            for version in registry.versions("twin-ann")
            if version.weights_digest == made.weights_digest
        ]
    assert [version.version for version in same] == [made.version]
    assert made.tags["adapter"] == plan.dpo_adapter
    folder = fetch_weights(made.weights_uri, made.weights_digest, apart.settings)
    assert (folder / "model.safetensors").is_file()
    assert apart.files.names(f"models/{made.name}") == [made.weights_digest[:16]]
    runs = runs_of(apart, f"{plan.dpo}/package.json")
    assert [run.info.status for run in runs] == ["FINISHED"]
    assert runs[0].info.run_id == made.run_id
    with pytest.raises(NothingToDo):
        apart.run(run_package)
    assert not list((apart.settings.home / "work").iterdir())


class KilledError(Exception):
    """What ends a training without a word, as far as it can tell."""


@pytest.mark.parametrize("method", ["dpo", "kto", "orpo"])
def test_each_method_goes_on_from_a_random_step_to_the_same_weights(tiny, tmp_path, method):
    knobs = {"method": method, "max_steps": 6, "batch_size": 4, "save_steps": 2}
    recipe = TrainingSection.model_validate({"dpo": {**knobs, "learning_rate": 2e-3}})

    def trainer(name):
        model, chat, reference = loaded(tiny, recipe)
        return dpo_trainer(model, chat, recipe, tmp_path / name, ROWS, reference)

    undisturbed = trainer("undisturbed")
    undisturbed.train()
    stopped = trainer("stopped")
    step, batch = random.Random(method).randint(3, 5), stopped.training_step
    done = []

    def training_step(*arguments, **named):
        done.append(None)
        if len(done) == step:
            raise KilledError
        return batch(*arguments, **named)

    stopped.training_step = training_step
    with pytest.raises(KilledError):
        stopped.train()
    newest = 2 * ((step - 1) // 2)
    resumed = trainer("resumed")
    resumed.train(resume_from_checkpoint=str(tmp_path / "stopped" / f"checkpoint-{newest}"))
    assert losses(resumed) == losses(undisturbed)
    weights = dict(resumed.model.named_parameters())
    for name, value in undisturbed.model.named_parameters():
        assert torch.equal(weights[name], value), name
