"""`twin training prune`, and what recovers of it, by jobs on a tiny twin against a live MLflow."""

import mlflow
import pytest
from transformers import AutoConfig, AutoModelForCausalLM

from tests.twin.training.smaller.test_distillation import SMALL
from twin.domain.errors import BadDataError, NothingToDo
from twin.models.language_model import load_language_model
from twin.stores.registry import CANDIDATE, Registry
from twin.stores.weights import fetch_weights
from twin.training.dpo import run_dpo
from twin.training.form import Form
from twin.training.package import run_package
from twin.training.plan import plan_training
from twin.training.sft import run_sft
from twin.training.smaller.distillation import run_distill
from twin.training.smaller.plan import plan_distillation, plan_pruning
from twin.training.smaller.pruned import sparsity_of
from twin.training.smaller.pruning import run_prune


@pytest.fixture
def trained(world):
    world.without_preferences()
    with pytest.raises(BadDataError, match="twin training dpo --recipe ann"):
        world.run(run_prune)
    world.run_all(run_sft, run_dpo)
    return world


def package(form):
    def run(job):
        run_package(job, form)

    return run


def test_a_pruned_twin_is_a_version_and_recovers_by_distillation(trained):
    with pytest.raises(BadDataError, match="twin training prune --recipe ann"):
        trained.run(package(Form.PRUNED))
    wanted = {"method": "magnitude", "share": 0.5}
    healing = {**SMALL, "copied": "pruned", "texts": "author", "max_steps": 2}
    with pytest.raises(BadDataError, match="twin training prune --recipe ann"):
        trained.run(run_distill, pruning=wanted, distillation=healing)

    result = trained.run(run_prune, pruning=wanted)
    assert result.detail["sparsity"] == pytest.approx(0.5, abs=0.01)
    assert result.detail["method"] == "magnitude"
    assert result.counts.read > 0
    client = mlflow.MlflowClient(trained.settings.mlflow_tracking_uri)
    run = client.get_run(result.ids["mlflow_run"])
    assert run.data.params["pruning.share"] == "0.5"
    assert run.data.metrics["sparsity"] == result.detail["sparsity"]
    assert [each.path for each in client.list_artifacts(run.info.run_id)] == ["pruning.json"]
    with pytest.raises(NothingToDo):
        trained.run(run_prune, pruning=wanted)

    trained.run(package(Form.PRUNED), pruning=wanted)
    with Registry(trained.settings) as registry:
        version = registry.by_alias("twin-ann", CANDIDATE)
    assert version.tags["form"] == "pruned"
    assert "50.0% of the weights of layers are zero" in version.tags["pruned_to"]
    folder = fetch_weights(version.weights_uri, version.weights_digest, trained.settings)
    load_language_model(folder, trained.settings)

    trained.run(run_distill, pruning=wanted, distillation=healing)
    recovered = trained.run(package(Form.DISTILLED), pruning=wanted, distillation=healing)
    with Registry(trained.settings) as registry:
        healed = registry.by_alias("twin-ann", CANDIDATE)
    assert healed.version == recovered.ids["model_version"]
    assert healed.tags["form"] == "distilled"
    assert healed.tags["pruned_to"] == version.tags["pruned_to"]
    folder = fetch_weights(healed.weights_uri, healed.weights_digest, trained.settings)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert sparsity_of(model) == pytest.approx(result.detail["sparsity"], abs=1e-3)


def test_layers_go_by_what_they_do_to_the_samples(trained):
    result = trained.run(run_prune, pruning={"share": 0.5, "samples": 3})
    assert result.counts.read == 3
    assert len(result.detail["by_layer"]) == 4
    assert result.detail["size_bytes"] < result.detail["twins_size_bytes"]
    recipe = trained.job(run_prune, pruning={"share": 0.5, "samples": 3}).recipe
    plan = plan_pruning(plan_training(recipe, trained.settings, trained.files), recipe)
    folder = trained.files.fetch_folder(plan.weights, trained.settings.home / "seen")
    assert AutoConfig.from_pretrained(folder).num_hidden_layers == 2


def test_each_value_makes_another_and_a_student_knows_its_pruning(world):
    def planned(**sections):
        recipe = world.job(run_prune, **sections).recipe
        twin = plan_training(recipe, world.settings, world.files)
        return plan_pruning(twin, recipe), plan_distillation(twin, recipe, world.settings)

    changes = [{}, {"method": "channels"}, {"share": 0.3}, {"samples": 31}]
    made = [planned(pruning=change) for change in changes]
    assert len({pruned.root for pruned, _ in made}) == 4
    assert len({student.root for _, student in made}) == 1, (
        "copied by layers: nothing to do with it"
    )
    copied = [planned(pruning=change, distillation={"copied": "pruned"})[1] for change in changes]
    assert len({student.root for student in copied}) == 4
    assert all(student.is_copy and student.pruned for student in copied)
