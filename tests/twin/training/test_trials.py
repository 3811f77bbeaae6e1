"""A training with other values than the recipe's: a version of its own that says so."""

from pathlib import Path

import mlflow

from twin.domain.result import JobResult
from twin.job import Job
from twin.recipes import load_recipe
from twin.stores.registry import CANDIDATE, TRIAL, Registry
from twin.training.dpo import run_dpo
from twin.training.package import run_package
from twin.training.plan import plan_training
from twin.training.sft import run_sft

CHANGES = ("training.dpo.enabled=false", "training.sft.max_steps=2")


def trial(world, body) -> JobResult:
    recipe = load_recipe("ann", Path(world.settings.recipes), changes=CHANGES)
    result = JobResult(job=body.__name__, recipe="ann", run_id="r1")
    body(Job(recipe, world.settings, "r1", result, CHANGES))
    return result


def test_a_trial_is_trained_beside_the_recipes_own_and_names_what_differs(world):
    trained = trial(world, run_sft)
    assert trained.detail["steps"] == 2
    client = mlflow.MlflowClient(world.settings.mlflow_tracking_uri)
    run = client.get_run(trained.ids["mlflow_run"]).data
    assert run.tags[TRIAL] == ", ".join(CHANGES)
    assert run.params["sft.max_steps"] == "2"
    assert "passed on" in trial(world, run_dpo).detail["dpo"]
    packaged = trial(world, run_package)
    with Registry(world.settings) as registry:
        version = registry.by_alias("twin-ann", CANDIDATE)
    assert version.version == packaged.ids["model_version"]
    assert version.tags[TRIAL] == "training.dpo.enabled=false, training.sft.max_steps=2"
    own = plan_training(world.recipe, world.settings, world.files)
    assert not world.files.is_published(own.sft_adapter), "the recipe's own is still to be trained"
