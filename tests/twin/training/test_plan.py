"""Whatever a training is made from names it: each change of an input is another training."""

import pytest

from tests import tiny_model
from tests.twin import corpora
from twin.domain.verdict import Decision, Opinion, Verdict
from twin.recipes.prompt import PromptSection
from twin.stores.files import open_files
from twin.stores.sample_sets import SampleSetManifest, SampleSets
from twin.stores.verdicts import Verdicts
from twin.training import plan as planning
from twin.training.plan import plan_training


@pytest.fixture
def recipe(settings, tiny, tmp_path):
    return corpora.write_recipe(tmp_path / "recipes", tiny)


@pytest.fixture
def plan(settings, recipe):
    """The plan of a recipe over the newest samples, which may be others."""

    def made(changed=recipe, samples="s1"):
        manifest = SampleSetManifest(
            version=samples, recipe="ann", author_id="ann", author_name="Ann",
            index_fingerprint="f", recipe_digest="r", prompt_version="1",
            documents={}, counts={},
        )  # fmt: skip
        files = open_files(settings)
        SampleSets(files, "ann").publish(manifest, [], "# Samples")
        return plan_training(changed, settings, files)

    return made


def training(recipe, **changed):
    """The recipe with other values of its training; of a section by its name."""
    section = recipe.training
    for key, value in changed.items():
        part = getattr(section, key)
        new = part.model_copy(update=value) if isinstance(value, dict) else value
        section = section.model_copy(update={key: new})
    return recipe.model_copy(update={"training": section})


def test_the_same_inputs_are_the_same_training(plan):
    assert plan() == plan()


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 14}, {"method": "qlora"}, {"teach_end": True},
        {"lora": {"rank": 8}}, {"lora": {"alpha": 8}}, {"lora": {"dropout": 0.5}},
        {"sft": {"epochs": 3.0}}, {"sft": {"max_steps": 7}}, {"sft": {"learning_rate": 1e-5}},
        {"sft": {"batch_size": 3}}, {"sft": {"gradient_accumulation": 3}},
        {"sft": {"max_length": 99}}, {"sft": {"warmup_share": 0.5}}, {"sft": {"save_steps": 3}},
        {"sft": {"max_validation_samples": 3}}, {"canaries": {"count": 2}},
        {"sft": {"schedule": "linear"}}, {"sft": {"weight_decay": 0.1}},
        {"sft": {"max_gradient_norm": 0.5}}, {"sft": {"adam_beta1": 0.8}},
        {"sft": {"adam_beta2": 0.9}}, {"sft": {"adam_epsilon": 1e-6}},
        {"sft": {"group_by_length": False}}, {"sft": {"packing": True}}, {"sft": {"noise": 5.0}},
        {"sft": {"evaluations": 2}}, {"sft": {"best_checkpoint": True}},
        {"pretraining": {"epochs": 1.0}}, {"sft": {"early_stopping": 2}},
        {"method": "dora"}, {"method": "full"},
    ],
    ids=str,
)  # fmt: skip
def test_every_knob_of_the_first_stage_is_another_training(plan, recipe, changed):
    before, after = plan(), plan(training(recipe, **changed))
    assert after.sft != before.sft
    assert after.pairs != before.pairs, "another model writes other texts"
    assert after.dpo.rpartition("/")[2] != before.dpo.rpartition("/")[2]
    assert after.dpo.startswith(after.sft.removesuffix("/sft"))


@pytest.mark.parametrize(
    "changed",
    [
        {"enabled": False}, {"epochs": 3.0}, {"max_steps": 7}, {"learning_rate": 1e-7},
        {"batch_size": 3}, {"gradient_accumulation": 3}, {"beta": 0.7}, {"max_length": 99},
        {"save_steps": 3}, {"method": "orpo"}, {"max_drift": 5.0}, {"schedule": "linear"},
        {"warmup_share": 0.5}, {"weight_decay": 0.1}, {"max_gradient_norm": 0.5},
    ],
    ids=str,
)  # fmt: skip
def test_every_knob_of_the_second_stage_leaves_the_first(plan, recipe, changed):
    before, after = plan(), plan(training(recipe, dpo=changed))
    assert after.sft == before.sft
    assert after.dpo != before.dpo
    assert (after.pairs == before.pairs) == ("max_length" not in changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"max_pairs": 3}, {"max_tokens": 99}, {"candidates": 5}, {"temperature": 0.1},
        {"max_held_out": 3},
    ],
    ids=str,
)  # fmt: skip
def test_every_knob_of_the_pairs_is_other_pairs_and_another_second_stage(plan, recipe, changed):
    pairs = recipe.training.dpo.pairs.model_copy(update=changed)
    before, after = plan(), plan(training(recipe, dpo={"pairs": pairs}))
    assert after.sft == before.sft
    assert after.pairs != before.pairs
    assert after.dpo != before.dpo
    assert after.candidates != before.candidates
    assert after.candidates.startswith(after.sft.removesuffix("sft"))


def test_another_refusal_is_other_pairs(plan, recipe):
    """It decides which of the model's texts are right."""
    retrieval = recipe.retrieval.model_copy(update={"dont_know": "No."})
    before, after = plan(), plan(recipe.model_copy(update={"retrieval": retrieval}))
    assert after.sft == before.sft
    assert after.pairs != before.pairs


def test_what_people_say_of_pairs_is_other_pairs_and_another_second_stage(plan, settings):
    """What the model wrote stays: it is not written again."""
    opinion = Opinion(person="1", decision=Decision.REJECT, reason="other")
    verdict = Verdict(sample="p", seen="x", document_id="d", opinions=(opinion,))
    verdicts = Verdicts(open_files(settings), "ann", on_pairs=True)
    before = plan()
    assert before.pairs == before.made
    verdicts.update((), [verdict])
    after = plan()
    assert (after.sft, after.made, after.candidates) == (before.sft, before.made, before.candidates)
    assert after.pairs != before.pairs
    assert after.dpo != before.dpo
    verdicts.update((), [verdict.model_copy(update={"seen": "y"})])
    assert plan().pairs != after.pairs
    verdicts.remove()
    assert plan() == before


def test_other_samples_are_another_training(plan):
    before, after = plan(samples="s1"), plan(samples="s2")
    assert after.sft != before.sft
    assert after.pairs != before.pairs


def test_another_base_is_another_training(plan, recipe, tmp_path):
    before = plan()
    other = tiny_model.build(tmp_path / "other")
    (other / "generation_config.json").write_text("{}")
    assert plan(training(recipe, base_model=str(other))).sft != before.sft


def test_another_name_of_the_author_is_another_training(plan, recipe):
    """It stands in every prompt."""
    author = recipe.author.model_copy(update={"name": "Anne"})
    assert plan(recipe.model_copy(update={"author": author})).sft != plan().sft


def test_another_template_around_the_question_is_another_training(plan, recipe):
    template = "{{ author }} {{ passages }} {{ question }}"
    before = plan()
    after = plan(recipe.model_copy(update={"prompt": PromptSection(template=template)}))
    assert after.sft != before.sft
    assert after.dpo.rpartition("/")[2] != before.dpo.rpartition("/")[2]
    registered = PromptSection(template=template, version=4)
    assert plan(recipe.model_copy(update={"prompt": registered})) == after
    same = recipe.prompt.model_copy(update={"version": 4})
    assert plan(recipe.model_copy(update={"prompt": same})) == before


@pytest.mark.parametrize("name", ["TRAINER", "PROMPT_VERSION"])
def test_other_code_is_another_training(plan, monkeypatch, name):
    before = plan()
    monkeypatch.setattr(planning, name, "another")
    after = plan()
    assert after.sft != before.sft
    assert after.dpo.rpartition("/")[2] != before.dpo.rpartition("/")[2]


def test_other_code_that_makes_pairs_leaves_the_first_stage(plan, monkeypatch):
    before = plan()
    monkeypatch.setattr(planning, "PAIRER", "another")
    after = plan()
    assert after.sft == before.sft
    assert after.pairs != before.pairs
    assert after.dpo != before.dpo


def test_where_no_canary_is_planted_how_they_would_be_changes_nothing(plan, recipe):
    assert plan(training(recipe, canaries={"repeats": 3, "seed": 4})) == plan()
