"""Sweeps: real trainings of a tiny model by Optuna, killed and extended."""

import json
from pathlib import Path
from types import SimpleNamespace

import mlflow
import optuna
import pytest
import yaml

from tests.twin import corpora
from twin.domain.errors import BadConfigurationError, BadDataError, NothingToDo, TryAgainError
from twin.domain.result import JobResult
from twin.job import Job
from twin.models.bases.base_models import BaseModelPin
from twin.recipes import TrainingSection
from twin.stores.files import open_files
from twin.training import sweep
from twin.training.checkpoints import Checkpoints
from twin.training.sweep import BEST, PARENT_TAG, _look_on, recipe_fragment, run_sweep

RATES = {"low": 1e-4, "high": 1e-2, "log": True}


def sweeping(world, trials, output=None):
    """A job's body; and the result once it is run."""
    return lambda job: run_sweep(job, trials, output)


@pytest.fixture
def swept(world):
    """The world with a small space."""
    world.recipe = corpora.write_recipe(
        world.settings.recipes,
        Path(world.recipe.training.base_model),
        training={
            "sft": {"max_steps": 4, "save_steps": 2, "evaluations": 2},
            "sweep": {
                "startup_trials": 2,
                "space": {"sft.learning_rate": RATES, "lora.rank": {"choices": [2, 16]}},
            },
        },
    )
    return world


def run(world, body):
    job = world.job(run_sweep)
    body(job)
    return job.result


def runs_below(world, parent):
    client = mlflow.MlflowClient(world.settings.mlflow_tracking_uri)
    experiment = client.get_experiment_by_name("ann").experiment_id
    return client.search_runs([experiment], f"tags.`{PARENT_TAG}` = '{parent}'")


def test_a_sweep_names_the_values_of_the_lowest_validation_loss(swept, tmp_path):
    output = tmp_path / "best.yaml"
    result = run(swept, sweeping(swept, 3, output))
    assert (result.detail["trials"], result.counts.written) == (3, 3)
    children = runs_below(swept, result.ids["mlflow_run"])
    assert len(children) == 3
    assert {child.info.status for child in children} == {"FINISHED"}
    losses = {
        float(child.data.params["sft.learning_rate"]): child.data.metrics["validation_loss"]
        for child in children
        if "pruned" not in child.data.tags
    }
    assert len(losses) == 3 - result.detail["pruned"]
    own = swept.recipe.training.sft.learning_rate
    assert own in losses, "what the others have to be better than"
    best = min(losses, key=losses.get)
    assert result.detail["best"]["sft.learning_rate"] == pytest.approx(best)
    assert result.detail["validation_loss"] == pytest.approx(losses[best])
    fragment = yaml.safe_load(output.read_text())
    assert fragment["training"]["sft"] == {"learning_rate": pytest.approx(best)}
    assert fragment["training"]["lora"] == {"rank": result.detail["best"]["lora.rank"]}
    folder = swept.files.relative(result.uris["sweep"])
    assert {BEST, "journal.log"} <= set(swept.files.names(folder))
    assert swept.files.names(f"{folder}/trials") == [], "weights of trials are not kept"

    with pytest.raises(NothingToDo, match="3 trials have ended"):
        run(swept, sweeping(swept, 3))
    more = run(swept, sweeping(swept, 4))
    assert (more.detail["trials"], more.counts.written) == (4, 1)
    assert more.uris["sweep"] == result.uris["sweep"]
    uri = swept.settings.mlflow_tracking_uri
    path = mlflow.artifacts.download_artifacts(
        run_id=more.ids["mlflow_run"], artifact_path="trials.json", tracking_uri=uri
    )
    rows = json.loads(Path(path).read_text())["data"]
    assert [row[0] for row in rows] == [0, 1, 2, 3]
    assert len({tuple(row[3:]) for row in rows}) == 4, "a sweep that goes on draws other values"


def test_a_sweep_killed_in_a_trial_goes_on_with_it(swept, is_killed):
    after_a_checkpoint = ((Checkpoints, "_drop_before"),)
    assert is_killed(lambda: run(swept, sweeping(swept, 2)), after_a_checkpoint, 0)
    result = run(swept, sweeping(swept, 2))
    assert result.detail["trials"] == 2
    assert result.detail["resumed_from"] == "checkpoint-2"
    runs = runs_below(swept, result.ids["mlflow_run"])
    assert sorted(each.info.status for each in runs) == ["FINISHED"] * 2, (
        "one run for both attempts"
    )
    own = swept.recipe.training.sft.learning_rate
    assert [float(each.data.params["sft.learning_rate"]) for each in runs].count(own) == 1


def test_trials_that_fail_are_named_and_a_sweep_of_these_alone_is_bad_data(swept):
    training = swept.recipe.training
    short = training.sft.model_copy(update={"max_length": 20})
    swept.recipe = swept.recipe.model_copy(
        update={"training": training.model_copy(update={"sft": short})}
    )
    job = swept.job(run_sweep)
    with pytest.raises(BadDataError, match="no trial has come to its end"):
        run_sweep(job, 2)
    assert job.result.detail["failed"] == 2
    assert [item.partition(":")[0] for item in job.result.failures] == ["trial 0", "trial 1"]
    assert all("no training sample fits" in why for why in job.result.failures.values())


def test_one_of_several_processes_is_refused(swept, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(BadConfigurationError, match="a sweep trains in one process"):
        run(swept, sweeping(swept, 1))


@pytest.fixture
def unstarted(settings, tmp_path):
    """A job of a sweep, on stores without samples."""
    recipe = corpora.write_recipe(
        tmp_path / "recipes",
        tmp_path,
        training={
            "sweep": {"space": {"sft.learning_rate": RATES, "lora.rank": {"low": 2, "high": 16}}}
        },
    )
    return Job(recipe, settings, "r1", JobResult(job="sweep", recipe="ann", run_id="r1"))


def test_a_sweep_is_of_whatever_its_losses_depend_on(unstarted, monkeypatch):
    recipe = unstarted.recipe

    def plan(samples="v1", base="d1"):
        return SimpleNamespace(
            manifest=SimpleNamespace(version=samples), base=BaseModelPin("tiny", base)
        )

    def of(**training):
        return recipe.model_copy(update={"training": recipe.training.model_copy(update=training)})

    key = sweep._key(recipe, plan())
    tried = recipe.training.with_values({"sft.learning_rate": 5e-3})
    assert sweep._key(of(sft=tried.sft), plan()) == key
    author = recipe.author.model_copy(update={"name": "Bob"})
    prompt = recipe.prompt.model_copy(update={"template": "{{ author }}: {{ question }}"})
    lora = recipe.training.lora.model_copy(update={"alpha": 7})
    keys = [
        key,
        sweep._key(of(seed=7), plan()),
        sweep._key(of(lora=lora), plan()),
        sweep._key(recipe.model_copy(update={"author": author}), plan()),
        sweep._key(recipe.model_copy(update={"prompt": prompt}), plan()),
        sweep._key(recipe, plan(samples="v2")),
        sweep._key(recipe, plan(base="d2")),
    ]
    for version in ("TRAINER", "PROMPT_VERSION"):
        with monkeypatch.context() as patch:
            patch.setattr(sweep, version, "other")
            keys.append(sweep._key(recipe, plan()))
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("ends", "failed"),
    [((KeyboardInterrupt,) * 2, [1]), ((TryAgainError,) * 3, []),
     ((KeyboardInterrupt, TryAgainError, KeyboardInterrupt), [2])],
)  # fmt: skip
def test_values_that_a_trial_is_killed_with_twice_have_failed(
    unstarted, tmp_path, monkeypatch, ends, failed
):
    """An exception that nobody catches leaves of a trial what SIGKILL does."""
    tried = []

    def attempt(number, end=None):
        def train(_sweep, _trial, values, _folder, _parent):
            tried.append(values)
            if end is None:
                return 1.0
            raise end("killed")

        monkeypatch.setattr(sweep._Sweep, "_train", train)
        scratch = tmp_path / f"attempt-{number}"
        scratch.mkdir()
        return sweep._Sweep(unstarted, open_files(unstarted.settings), None, "sweep", scratch)

    for number, end in enumerate(ends):
        going_on = attempt(number, end)
        assert going_on.ended == 0
        with pytest.raises(end):
            going_on.try_next(None)
    assert all(values == tried[0] for values in tried)
    last = attempt("last")
    assert last.ended == len(failed)
    assert [name.partition(":")[0] for name in unstarted.result.failures] == [
        f"trial {number}" for number in failed
    ]
    last.try_next(None)
    assert (tried[-1] == tried[0]) is not bool(failed)
    after = attempt("after")
    assert after.ended == len(failed) + 1, "a failed trial stays one"
    assert len(unstarted.result.failures) == len(failed), "and is told once"


def state(step, history=()):
    return SimpleNamespace(global_step=step, max_steps=8, log_history=list(history))


def test_a_trial_that_is_worse_than_the_median_of_the_others_ends_early():
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=2))
    for loss in (1.0, 1.2):
        trial = study.ask()
        trial.report(loss, 4)
        study.tell(trial, loss)
    good, bad, late = study.ask(), study.ask(), study.ask()
    _look_on(good).on_evaluate(None, state(4), None, {"eval_loss": 1.05})
    with pytest.raises(optuna.TrialPruned):
        _look_on(bad).on_evaluate(None, state(4), None, {"eval_loss": 1.15})
    # It has all its steps behind it: there is nothing to save.
    _look_on(late).on_evaluate(None, state(8), None, {"eval_loss": 9.0})


def test_what_an_earlier_attempt_measured_counts():
    study = optuna.create_study()
    trial = study.ask()
    history = [{"loss": 2.0, "step": 1}, {"eval_loss": 1.5, "step": 2}]
    _look_on(trial).on_train_begin(None, state(2, history), None)
    assert study.trials[0].intermediate_values == {2: 1.5}


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"sft.learning_rat": RATES}, "there is no training.sft.learning_rat"),
        ({"sft": RATES}, "valid dictionary"),
        ({"sft.learning_rate.x": RATES}, "there is no training.sft.learning_rate.x"),
        ({"dpo.beta": {"low": 0.1, "high": 0.3}}, "dpo.beta is no value of fine-tuning"),
        ({"sft.max_length": {"choices": [256, 512]}}, "sft.max_length changes what the valid"),
        ({"sft.max_validation_samples": {"low": 9, "high": 99}}, "samples changes what the valid"),
        ({"teach_end": {"choices": [False, True]}}, "teach_end changes what the validation"),
        ({"sft.learning_rate": {"low": 0.1, "high": 1.0}}, "less than 1"),
        ({"lora.rank": {"choices": [0, 8]}}, "greater than or equal to 1"),
        ({"lora.rank": {"choices": [8]}}, "at least 2 items"),
        ({"lora.rank": {"low": 8, "high": 8}}, "must be less than high"),
        ({"lora.dropout": {"low": 0.0, "high": 0.5, "log": True}}, "must be above 0"),
        ({}, "at least 1 item"),
    ],
)
def test_a_space_that_no_training_takes_is_refused(space, words):
    with pytest.raises(ValueError, match=words):
        TrainingSection.model_validate({"sweep": {"space": space}})


def test_other_values_change_nothing_else():
    before = TrainingSection(seed=3)
    after = before.with_values({"sft.learning_rate": 1e-3, "lora.rank": 4})
    assert (after.sft.learning_rate, after.lora.rank, after.seed) == (1e-3, 4, 3)
    assert after.lora.alpha == before.lora.alpha
    assert after.with_values({"sft.learning_rate": 2e-4, "lora.rank": 16}) == before


def test_a_fragment_is_what_a_recipe_takes():
    text = recipe_fragment({"sft.learning_rate": 1e-3, "lora.rank": 4, "method": "dora"})
    made = TrainingSection.model_validate(yaml.safe_load(text)["training"])
    assert (made.sft.learning_rate, made.lora.rank, made.method) == (1e-3, 4, "dora")
