"""The recipe is what runs: every argument of the trainers that is not TRL's default is accounted
for, and every value of the recipe arrives."""

import pytest

from tests import tiny_model
from tests.twin.training.rows import instruct_rows
from twin.recipes import SftSection, TrainingSection
from twin.settings import Settings
from twin.training.engine import load_for_training, lora_config, sft_trainer
from twin.training.preference_trainers import dpo_trainer
from twin.training.trainer_arguments import CPU_LENGTHS, dpo_arguments, sft_arguments

STEPS = {
    "epochs": 2.5, "max_steps": 77, "learning_rate": 3e-4, "batch_size": 3,
    "gradient_accumulation": 5, "schedule": "linear", "warmup_share": 0.25, "weight_decay": 0.05,
    "max_gradient_norm": 0.7, "adam_beta1": 0.8, "adam_beta2": 0.95, "adam_epsilon": 1e-7,
    "gradient_checkpointing": True, "logging_steps": 4, "save_steps": 6, "checkpoints_kept": 3,
}  # fmt: skip
"""Values of both stages, none of them a default."""

ARGUMENTS = {
    "epochs": ("num_train_epochs", 2.5),
    "max_steps": ("max_steps", 77),
    "learning_rate": ("learning_rate", 3e-4),
    "batch_size": ("per_device_train_batch_size", 3),
    "gradient_accumulation": ("gradient_accumulation_steps", 5),
    "schedule": ("lr_scheduler_type", "linear"),
    "warmup_share": ("warmup_steps", 0.25),
    "weight_decay": ("weight_decay", 0.05),
    "max_gradient_norm": ("max_grad_norm", 0.7),
    "adam_beta1": ("adam_beta1", 0.8),
    "adam_beta2": ("adam_beta2", 0.95),
    "adam_epsilon": ("adam_epsilon", 1e-7),
    "gradient_checkpointing": ("gradient_checkpointing", True),
    "logging_steps": ("logging_steps", 4),
    "save_steps": ("save_steps", 6),
    "checkpoints_kept": ("save_total_limit", 3),
}
"""Value of the recipe to argument of the trainer, and what it is then."""

SFT = {"group_by_length": False, "noise": 5.0, "evaluations": 8}
SFT_ARGUMENTS = {
    "group_by_length": ("train_sampling_strategy", "random"),
    "noise": ("neftune_noise_alpha", 5.0),
    "evaluations": ("eval_steps", 0.125),
}
DPO = {"beta": 0.3}
DPO_ARGUMENTS = {"beta": ("beta", 0.3)}

TESTED_APART = {
    "max_length", "max_validation_samples", "packing", "best_checkpoint", "early_stopping",
    "enabled", "pairs", "method", "max_drift",
}  # fmt: skip
"""Values that are no argument by themselves."""

NOT_THE_RECIPES = {
    "output_dir", "seed", "data_seed",
    # of the machine
    "use_cpu", "pad_to_multiple_of", "dataloader_pin_memory", "gradient_checkpointing",
    # of the house
    "bf16", "logging_nan_inf_filter", "disable_tqdm", "report_to", "max_length", "packing",
    "per_device_eval_batch_size", "eval_strategy",
}  # fmt: skip
"""Arguments that may differ from TRL's defaults beside those above."""

# What transformers derives from others, or calls by a second name.
VARIES = {
    "do_eval",
    "activation_checkpointing",
    "run_name",
    "logging_dir",
    "deepspeed_plugin",
    "distributed_state",
    "project",
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    folder = tiny_model.build(tmp_path_factory.mktemp("tiny"))
    return lambda recipe: load_for_training(folder, Settings(threads=1), recipe)


def sft(loaded, scratch, recipe, validation=True):
    rows = instruct_rows()
    return sft_trainer(*loaded(recipe), recipe, scratch, rows, rows[:4] if validation else [])


def dpo(loaded, scratch, recipe):
    from peft import get_peft_model

    model, chat = loaded(recipe)
    rows = [{"prompt_ids": [9, 10], "chosen_ids": [11, 12], "rejected_ids": [13]}] * 4
    adapted = get_peft_model(model, lora_config(recipe.lora))
    return dpo_trainer(adapted, chat, recipe, scratch, rows)


@pytest.mark.parametrize(
    ("stage", "own", "arguments"),
    [("sft", SFT, SFT_ARGUMENTS), ("dpo", DPO, DPO_ARGUMENTS)],
)
def test_every_value_of_the_recipe_is_the_trainers(loaded, tmp_path, stage, own, arguments):
    recipe = TrainingSection.model_validate({"seed": 31, stage: {**STEPS, **own}})
    knobs = getattr(recipe, stage)
    defaults = type(knobs)()
    for name in (*STEPS, *own):
        assert getattr(knobs, name) != getattr(defaults, name), f"{name} shows nothing"
    args = {"sft": sft, "dpo": dpo}[stage](loaded, tmp_path, recipe).args
    for field, (name, value) in {**ARGUMENTS, **arguments}.items():
        assert getattr(args, name) == value, field
    assert (args.seed, args.data_seed) == (31, 31)
    unknown = set(type(knobs).model_fields) - {*ARGUMENTS, *arguments} - TESTED_APART
    assert not unknown, "a field of the recipe that reaches no trainer, as far as this test knows"


@pytest.mark.parametrize(("stage", "arguments"), [("sft", SFT_ARGUMENTS), ("dpo", DPO_ARGUMENTS)])
def test_nothing_differs_from_trls_defaults_but_what_is_accounted_for(
    loaded, tmp_path, stage, arguments
):
    from trl import DPOConfig, SFTConfig

    ours = {"sft": sft, "dpo": dpo}[stage](loaded, tmp_path, TrainingSection()).args
    theirs = {"sft": SFTConfig, "dpo": DPOConfig}[stage](str(tmp_path), use_cpu=True, report_to=[])
    before, after = theirs.to_dict(), ours.to_dict()
    differing = {name for name in after if after[name] != before.get(name)} - VARIES
    known = {name for name, _ in {**ARGUMENTS, **arguments}.values()} | NOT_THE_RECIPES
    assert differing <= known


def test_what_the_recipe_does_not_say_is_the_machines_and_the_houses(tmp_path):
    found = sft_arguments(TrainingSection(), tmp_path, validated=True)
    assert found["use_cpu"] is True
    assert found["gradient_checkpointing"] is False
    assert found["pad_to_multiple_of"] == CPU_LENGTHS
    assert found["bf16"] is True
    assert found["logging_nan_inf_filter"] is False
    assert found["report_to"] == []
    assert found["max_length"] is None
    assert found["eval_steps"] == 0.25
    assert found["train_sampling_strategy"] == "group_by_length"
    assert found["neftune_noise_alpha"] is None
    assert found["per_device_eval_batch_size"] == SftSection().batch_size
    assert dpo_arguments(TrainingSection(), tmp_path)["max_length"] is None
    assert dpo_arguments(TrainingSection(), tmp_path)["warmup_steps"] == 0.0


@pytest.mark.parametrize("knobs", [{"best_checkpoint": True}, {"early_stopping": 3}], ids=str)
def test_who_ends_with_the_best_measures_at_each_checkpoint(tmp_path, knobs):
    recipe = TrainingSection(sft=SftSection(save_steps=7, **knobs))
    found = sft_arguments(recipe, tmp_path, validated=True)
    assert found["eval_steps"] == found["save_steps"] == 7
    assert found["load_best_model_at_end"] is True
    assert (found["metric_for_best_model"], found["greater_is_better"]) == ("loss", False)
    assert "load_best_model_at_end" not in sft_arguments(recipe, tmp_path, validated=False)


def test_several_processes_share_the_weights_if_the_recipe_says_so(tmp_path):
    assert "fsdp" not in dpo_arguments(TrainingSection(), tmp_path)
    found = dpo_arguments(TrainingSection(sharding="fsdp"), tmp_path)
    assert found["fsdp"] is True
    assert found["fsdp_config"]["version"] == 2


def test_one_evaluation_is_the_one_after_the_last_step(tmp_path):
    recipe = TrainingSection(sft=SftSection(evaluations=1))
    assert sft_arguments(recipe, tmp_path, validated=True)["eval_strategy"] == "no"


def test_a_constant_schedule_has_its_warm_up(loaded, tmp_path):
    values = {"schedule": "constant", "warmup_share": 0.5, "max_steps": 4, "learning_rate": 1e-3}
    trainer = sft(loaded, tmp_path, TrainingSection.model_validate({"sft": values}), False)
    trainer.train()
    rates = [e["learning_rate"] for e in trainer.state.log_history if "learning_rate" in e]
    assert rates == pytest.approx([0.0, 0.0005, 0.001, 0.001])
