"""`twin training distill`, by real trainings of a tiny twin's students against a live MLflow."""

import mlflow
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from tests import families
from twin.domain.errors import BadDataError, NothingToDo
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import load_language_model
from twin.rag.prompt import build_messages
from twin.stores.files import FileStore
from twin.stores.registry import CANDIDATE, Registry
from twin.stores.weights import fetch_weights
from twin.training import candidates, memory_estimate
from twin.training.candidates import KEPT, Candidate
from twin.training.dpo import run_dpo
from twin.training.form import Form
from twin.training.package import run_package
from twin.training.plan import plan_training
from twin.training.sft import run_sft
from twin.training.smaller.distillation import as_fine_tuning, run_distill
from twin.training.smaller.plan import plan_distillation
from twin.training.smaller.teacher import rows_of_answers, samples_to_learn
from twin.training.steadfast import Steadfast
from twin.training.tokens import prompt_tokens

SMALL = {
    "max_steps": 4, "save_steps": 2, "batch_size": 2, "learning_rate": 1e-3, "max_samples": 6,
    "max_tokens": 12,
}  # fmt: skip


@pytest.fixture
def taught(world):
    """The world with a trained twin, and values of a small distillation."""
    world.without_preferences()
    with pytest.raises(BadDataError, match="twin training dpo --recipe ann"):
        world.run(run_distill)
    world.run_all(run_sft, run_dpo)
    training = world.recipe.training
    small = training.distillation.model_validate(SMALL)
    world.recipe = world.recipe.model_copy(
        update={"training": training.model_copy(update={"distillation": small})}
    )
    return world


def plan_of(world, **values):
    recipe = world.job(run_distill, distillation=values).recipe
    twin = plan_training(recipe, world.settings, world.files)
    return plan_distillation(twin, recipe, world.settings)


def package_distilled(job):
    run_package(job, Form.DISTILLED)


def test_a_copy_with_half_of_the_layers_learns_and_is_a_version(taught, tiny, is_killed):
    with pytest.raises(BadDataError, match="twin training distill --recipe ann"):
        taught.run(package_distilled)
    # Killed while the twin writes, and in mid-training: nothing is there, and nothing is lost.
    plan = plan_of(taught)
    assert is_killed(lambda: taught.run(run_distill), ((FileStore, "write_bytes"),), 0)
    assert is_killed(lambda: taught.run(run_distill), ((Steadfast, "training_step"),), 3)
    assert not taught.files.is_published(plan.weights)
    written = KEPT.validate_json(taught.files.read_text(plan.answers))
    assert len(written) == 6

    result = taught.run(run_distill)
    assert result.detail["resumed_from"] == "checkpoint-2"
    assert result.detail["steps"] == 4
    assert result.detail["layers"] == [0, 2]
    assert result.detail["samples"] == 6
    assert result.counts.read >= 6
    assert result.detail["size_bytes"] < 0.9 * result.detail["twins_size_bytes"]
    client = mlflow.MlflowClient(taught.settings.mlflow_tracking_uri)
    run = client.get_run(result.ids["mlflow_run"])
    assert run.info.run_name.startswith("ann distill")
    assert run.data.params["distillation.logits"] == "0.5"
    assert run.data.params["twin"] == plan.twin.dpo_adapter
    curve = client.get_metric_history(run.info.run_id, "validation_loss")
    assert [point.step for point in curve] == [1, 2, 3, 4]
    assert result.detail["validation_loss"] == curve[-1].value
    assert taught.files.names(plan.root) == ["weights"]
    with pytest.raises(NothingToDo, match="has taught this student"):
        taught.run(run_distill)

    packaged = taught.run(package_distilled)
    with Registry(taught.settings) as registry:
        version = registry.by_alias("twin-ann", CANDIDATE)
    assert version.version == packaged.ids["model_version"]
    assert version.tags["form"] == "distilled"
    assert version.tags["weights"] == "merged"
    assert version.tags["base_model"] == str(tiny)
    folder = fetch_weights(version.weights_uri, version.weights_digest, taught.settings)
    assert AutoConfig.from_pretrained(folder).num_hidden_layers == 2
    model = load_language_model(folder, taught.settings)
    [(nats, tokens)] = model.answer_log_likelihood(
        [build_messages("Ann", "Why?", ())], ["I keep this handbook."]
    )
    assert nats < 0 < tokens
    # Embedding and head are the twin's own; what is between has learned.
    weights = load_file(folder / "model.safetensors")
    twin = load_file(tiny / "model.safetensors")
    assert torch.equal(weights["model.embed_tokens.weight"], twin["model.embed_tokens.weight"])
    with pytest.raises(NothingToDo):
        taught.run(package_distilled)
    trained = taught.run(run_package)
    assert trained.ids["model_version"] != packaged.ids["model_version"]


@pytest.fixture
def other_student(tmp_path):
    """A base model of another family."""
    return families.build("llama3", tmp_path / "llama", num_hidden_layers=2)


def test_a_student_of_another_family_learns_texts_but_no_probabilities(taught, other_student):
    values = {"student": str(other_student), "method": "lora", "texts": "author", "max_steps": 2}
    with pytest.raises(BadDataError, match=r"twin's tokens.*training\.distillation\.logits to 0"):
        taught.run(run_distill, distillation=values)
    result = taught.run(run_distill, distillation={**values, "logits": 0.0})
    assert "layers" not in result.detail
    folder = taught.files.fetch_folder(
        plan_of(taught, **values, logits=0.0).weights, taught.settings.home / "seen"
    )
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.model_type == "llama"
    assert not (folder / "adapter_config.json").exists(), "the adapter is in the weights"
    same = AutoTokenizer.from_pretrained(folder).get_vocab()
    assert same == AutoTokenizer.from_pretrained(other_student).get_vocab()


def test_the_twin_itself_learns_to_be_rounded(taught, is_killed):
    values = {"copied": "whole", "quantised": "int4", "texts": "author", "logits": 1.0}

    def run():
        return taught.run(run_distill, distillation=values)

    assert is_killed(run, ((Steadfast, "training_step"),), 3)
    result = run()
    assert result.detail["resumed_from"] == "checkpoint-2"
    plan = plan_of(taught, **values)
    folder = taught.files.fetch_folder(plan.weights, taught.settings.home / "seen")
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.num_hidden_layers == 4
    assert not any("parametrizations" in name for name in load_file(folder / "model.safetensors"))
    assert 0 < result.detail["validation_loss"] < 0.1, "of itself: what rounding takes"


def test_known_answers_are_learned_from_and_empty_ones_left_out(taught, monkeypatch):
    """What a killed run has written is written already."""
    plan = plan_of(taught)
    samples = samples_to_learn(taught.job(run_distill), taught.files, plan.twin)
    written = {each.id: (Candidate(text="Two words", is_cut=False),) for each in samples}
    assert len(written) == 6
    first, *_ = written
    empty = Candidate(text="", is_cut=False)
    monkeypatch.setattr(candidates, "sampling", lambda *_: pytest.fail("they are known"))
    silent = dict.fromkeys(written, (empty,))
    taught.files.write_bytes(plan.answers, KEPT.dump_json(silent))
    with pytest.raises(BadDataError, match="wrote nothing to any of 6 samples"):
        taught.run(run_distill)
    taught.files.write_bytes(plan.answers, KEPT.dump_json({**written, first: (empty,)}))
    result = taught.run(run_distill)
    assert result.detail["samples"] == 5
    assert "wrote nothing" in result.failures[first]


def test_a_cut_answer_has_no_end(taught, tiny):
    job = taught.job(run_distill)
    samples = samples_to_learn(job, taught.files, plan_of(taught).twin)[:2]
    chat = ChatFormat.load(tiny)
    written = {
        each.id: (Candidate(text="Two words", is_cut=cut),)
        for each, cut in zip(samples, (False, True), strict=True)
    }
    whole, cut = rows_of_answers(job, chat, samples, written)
    for sample, row, answer in (
        (samples[0], whole, chat.answer_ids("Two words")),
        (samples[1], cut, chat.unended_answer_ids("Two words")),
    ):
        prompt = prompt_tokens(chat, "Ann", sample)
        assert row["input_ids"] == prompt + answer
        assert row["labels"] == [-100] * len(prompt) + answer
        assert row["length"] == len(prompt + answer)
    assert chat.end_id in whole["labels"]
    assert chat.end_id not in cut["labels"]


def test_what_does_not_fit_is_named(taught, monkeypatch):
    monkeypatch.setattr(memory_estimate, "available_memory", lambda: 1 << 20)
    with pytest.raises(BadDataError, match=r"takes about .* holds for training\.distillation"):
        taught.run(run_distill, distillation={"texts": "author"})
    with pytest.raises(BadDataError, match=r"raise training\.distillation\.max_length \(20\)"):
        taught.run(run_distill, distillation={"max_length": 20, "texts": "author"})


@pytest.mark.parametrize(
    "change",
    [
        {"keep_every": 3}, {"texts": "author"}, {"max_samples": 7}, {"max_tokens": 13},
        {"temperature": 0.1}, {"logits": 0.25}, {"method": "lora"}, {"learning_rate": 1e-5},
        {"quantised": "int8"}, {"copied": "whole"}, {"copied": "pruned"},
    ],
)  # fmt: skip
def test_each_value_makes_another_student(taught_plan, change):
    assert taught_plan(**change).root != taught_plan().root


@pytest.fixture
def taught_plan(world):
    return lambda **values: plan_of(world, **values)


def test_the_student_of_another_base_is_another(taught_plan, tiny, other_student):
    copy, same = taught_plan(), taught_plan(student=str(tiny))
    assert copy.is_copy
    assert not same.is_copy
    assert copy.base == same.base == copy.twin.base
    other = taught_plan(student=str(other_student))
    assert len({copy.root, same.root, other.root}) == 3
    assert other.base.name == str(other_student)


def test_a_students_training_is_by_its_own_values(world):
    training = world.recipe.training
    section = training.distillation.model_copy(update={"max_steps": 77, "method": "lora"})
    made = as_fine_tuning(
        training.model_copy(
            update={"distillation": section, "method": "qlora", "teach_end": True,
                    "sharding": "fsdp"}
        )
    )  # fmt: skip
    assert (made.sft.max_steps, made.method, made.teach_end, made.sharding) == (
        77, "lora", False, "none",
    )  # fmt: skip
    assert not made.dpo.enabled, "its memory is not the student's"
