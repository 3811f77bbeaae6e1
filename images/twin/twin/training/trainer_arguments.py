"""From a recipe's values to the arguments of the trainers.

What is not in the recipe is of the machine (`_of_the_machine`), or how the house reports and stops
(`_of_the_house`).
"""

from pathlib import Path
from typing import Any

from twin.recipes import (
    OwnBaseSection,
    SftSection,
    StepsSection,
    TextClassifierSection,
    TrainingSection,
)

#: Tokens that a batch is padded to a multiple of on processors. For each length that it has not met
#: oneDNN compiles, and keeps, its matrix products anew: after eight steps of the demo's training
#: that is 0.65 GiB, which padding saves at no time that could be measured.
CPU_LENGTHS = 64

#: The trainer's names of the recipe's schedules. Its own `constant` knows no warm-up.
SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


def sft_arguments(recipe: TrainingSection, scratch: Path, *, validated: bool) -> dict[str, Any]:
    """Arguments of `trl.SFTConfig`; ``validated`` if there are samples to validate on."""
    knobs = recipe.sft
    return {
        **_common(knobs, recipe, scratch),
        # Longer samples have been refused; packed ones fill rows of this length.
        "max_length": knobs.max_length if knobs.packing else None,
        "packing": knobs.packing,
        "train_sampling_strategy": "group_by_length" if knobs.group_by_length else "random",
        "neftune_noise_alpha": knobs.noise or None,
        "per_device_eval_batch_size": knobs.batch_size,
        **(_validation(knobs) if validated else {"eval_strategy": "no"}),
    }


def dpo_arguments(recipe: TrainingSection, scratch: Path) -> dict[str, Any]:
    """Arguments of `trl.DPOConfig` and `trl.KTOConfig`."""
    knobs = recipe.dpo
    return {
        **_common(knobs, recipe, scratch),
        "beta": knobs.beta,
        "max_length": None,  # longer pairs have been refused
    }


def orpo_arguments(recipe: TrainingSection, scratch: Path) -> dict[str, Any]:
    """Arguments of TRL's `ORPOConfig`, whose collator pads to the longest only."""
    found = dpo_arguments(recipe, scratch)
    del found["pad_to_multiple_of"]
    return {**found, "max_length": recipe.dpo.max_length, "remove_unused_columns": False}


def best_checkpoint_arguments(
    knobs: TextClassifierSection | OwnBaseSection, recipe: TrainingSection, scratch: Path
) -> dict[str, Any]:
    """Arguments of `transformers.TrainingArguments` for small models all of whose weights learn.

    Validation is measured at each checkpoint, and training ends with the best of them.
    """
    import torch

    found = _common(knobs, recipe, scratch)
    del found["pad_to_multiple_of"]  # the collator's, here
    return {
        **found,
        **_by_best_checkpoint(knobs.save_steps),
        "per_device_eval_batch_size": knobs.batch_size,
        # On processors in float32, which costs a small model little.
        "bf16": torch.cuda.is_available(),
    }


def keeps_best(knobs: SftSection) -> bool:
    """Whether the training ends with its best checkpoint and not with its last."""
    return knobs.best_checkpoint or knobs.early_stopping > 0


def _validation(knobs: SftSection) -> dict[str, Any]:
    if keeps_best(knobs):
        return _by_best_checkpoint(knobs.save_steps)
    if knobs.evaluations == 1:  # after the last step, where it is always measured
        return {"eval_strategy": "no"}
    return {"eval_strategy": "steps", "eval_steps": 1 / knobs.evaluations}


def _by_best_checkpoint(save_steps: int) -> dict[str, Any]:
    return {
        "eval_strategy": "steps",
        "eval_steps": save_steps,  # what is measured has to be there to go back to
        "load_best_model_at_end": True,
        "metric_for_best_model": "loss",
        "greater_is_better": False,
    }


def _common(knobs: StepsSection, recipe: TrainingSection, scratch: Path) -> dict[str, Any]:
    return {
        "output_dir": str(scratch),
        "num_train_epochs": knobs.epochs,
        "max_steps": knobs.max_steps,
        "learning_rate": knobs.learning_rate,
        "lr_scheduler_type": SCHEDULES[knobs.schedule],
        "warmup_steps": knobs.warmup_share,
        "weight_decay": knobs.weight_decay,
        "max_grad_norm": knobs.max_gradient_norm,
        "adam_beta1": knobs.adam_beta1,
        "adam_beta2": knobs.adam_beta2,
        "adam_epsilon": knobs.adam_epsilon,
        "per_device_train_batch_size": knobs.batch_size,
        "gradient_accumulation_steps": knobs.gradient_accumulation,
        "save_steps": knobs.save_steps,
        "save_total_limit": knobs.checkpoints_kept,
        "logging_steps": knobs.logging_steps,
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        **(_sharded() if recipe.sharding == "fsdp" else {}),
        **_of_the_machine(knobs.gradient_checkpointing),
        **_of_the_house(),
    }


def _sharded() -> dict[str, Any]:
    """FSDP2: a layer's weights are whole only while it is at work."""
    return {
        "fsdp": True,
        "fsdp_config": {
            "version": 2,
            "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "reshard_after_forward": True,
            "state_dict_type": "FULL_STATE_DICT",  # an adapter is small, and saved as one file
        },
    }


def _of_the_machine(gradient_checkpointing: bool | None) -> dict[str, Any]:
    import torch

    accelerated = torch.cuda.is_available()
    return {
        "pad_to_multiple_of": None if accelerated else CPU_LENGTHS,
        "use_cpu": not accelerated,
        "gradient_checkpointing": accelerated
        if gradient_checkpointing is None
        else gradient_checkpointing,
        "dataloader_pin_memory": accelerated,
    }


def _of_the_house() -> dict[str, Any]:
    return {
        "bf16": True,  # autocast: float32 LoRA weights, bf16 arithmetic
        "logging_nan_inf_filter": False,  # a loss that is no number ends the training
        "disable_tqdm": True,
        "report_to": [],
    }
