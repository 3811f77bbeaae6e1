"""The two TRL trainers, set up from a recipe, and one way to run either."""

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin.domain.errors import BadConfigurationError
from twin.job import Job
from twin.models.formats.chat_format import ChatFormat
from twin.models.gpus import check_gpus
from twin.recipes import DpoSection, LoraSection, SftSection, TrainingSection
from twin.settings import Settings
from twin.stores.files import FileStore
from twin.stores.tracking import TrackingRun
from twin.training.taught_end import (
    TokenIndices,
    begin_at_known_end,
    copy_to_reference,
    token_indices,
)

Rows = list[dict[str, Any]]

#: Tokens that a batch is padded to a multiple of on processors. For each length that it has not met
#: oneDNN compiles, and keeps, its matrix products anew: after eight steps of the demo's training
#: that is 0.65 GiB, which padding saves at no time that could be measured.
CPU_LENGTHS = 64


@dataclass(frozen=True)
class Workshop:
    """Where a training works: its scratch folder here, its checkpoints in the store."""

    files: FileStore
    scratch: Path
    checkpoints: str


def load_for_training(
    folder: Path, settings: Settings, recipe: TrainingSection
) -> tuple[Any, ChatFormat]:
    """Base model (in bf16, or of four bits for QLoRA; no adapter) and its chat format.

    Raises:
        BadDataError: the model's conversations cannot be written (`ChatFormat`), or it was never
            taught the token that ends an answer and the recipe does not have it taught.
        BadConfigurationError: this job does not see the GPUs that it was given, or several; or
            what QLoRA needs is not installed.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    from twin.models.formats.trained_end import check_end_is_trained

    check_gpus(settings, training=True)
    if recipe.method == "qlora":
        _reach_four_bit_packages(settings)
    transformers_logging.disable_progress_bar()
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    chat = ChatFormat.load(folder)
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        dtype=torch.bfloat16,
        **(_four_bits() if recipe.method == "qlora" else {}),
    )
    if not recipe.teach_end:
        check_end_is_trained(model, chat)
    return model, chat


def _reach_four_bit_packages(settings: Settings) -> None:
    """Let bitsandbytes be imported; before transformers, which looks for it once.

    Raises:
        BadConfigurationError: it is not there.
    """
    folder = settings.qlora_packages.resolve()
    if importlib.util.find_spec("bitsandbytes") is None:
        if not (folder / "bitsandbytes").is_dir():
            raise BadConfigurationError(
                f"training.method: qlora needs bitsandbytes, which is not in {folder}: run "
                "`make qlora`, set TWIN_QLORA_PACKAGES to the folder in which it is installed, or "
                "set training.method to lora"
            )
        sys.path.append(str(folder))


def _four_bits() -> dict[str, Any]:
    """Linear layers of the body as QLoRA packs them (Dettmers et al., 2023, arXiv:2305.14314)."""
    import torch
    from transformers import BitsAndBytesConfig

    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        ),
        # Packed weights are not moved any more, so they are loaded where they are trained.
        "device_map": {"": torch.cuda.current_device() if torch.cuda.is_available() else "cpu"},
    }


def lora_config(lora: LoraSection, taught: TokenIndices | None = None) -> Any:
    """LoRA on every linear layer of the body; of embedding and head only ``taught`` rows."""
    from peft import LoraConfig

    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        trainable_token_indices=taught,
    )


def sft_trainer(
    model: Any,
    chat: ChatFormat,
    recipe: TrainingSection,
    scratch: Path,
    rows: Rows,
    validation: Rows,
) -> Any:
    """TRL's SFT trainer on tokenised rows, with a new adapter on ``model``."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from twin.training.lean_head import use_lean_head

    knobs = recipe.sft
    taught = token_indices(model, chat) if recipe.teach_end else None
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            **_common(knobs, recipe.seed, scratch),
            warmup_steps=knobs.warmup_share,
            max_length=None,  # longer samples have been refused
            # Samples of like length together, so that little is spent on padding.
            train_sampling_strategy="group_by_length",
            per_device_eval_batch_size=knobs.batch_size,
            # A curve of the validation loss: after each quarter of the steps.
            eval_strategy="steps" if validation else "no",
            eval_steps=0.25,
        ),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(validation) if validation else None,
        processing_class=_padded(chat),
        peft_config=lora_config(recipe.lora, taught),
    )
    if taught is not None:
        begin_at_known_end(trainer.model, chat)
    use_lean_head(trainer)
    return trainer


def dpo_trainer(
    model: Any, chat: ChatFormat, recipe: TrainingSection, scratch: Path, rows: Rows
) -> Any:
    """TRL's DPO trainer on tokenised pairs; ``model`` carries the SFT adapter, trainable.

    The reference is a frozen copy of that adapter on the same base, which TRL switches to.
    """
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    from twin.training.lean_head import use_lean_head

    class PretokenisedDPOTrainer(DPOTrainer):
        """Takes rows as `twin.training.tokens` makes them, and leaves them as they are."""

        def _prepare_dataset(self, dataset: Any, *_args: Any, **_kwargs: Any) -> Any:
            return dataset

    trainer = PretokenisedDPOTrainer(
        model=model,
        args=DPOConfig(
            **_common(recipe.dpo, recipe.seed, scratch),
            beta=recipe.dpo.beta,
            max_length=None,  # longer pairs have been refused
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=_padded(chat),
    )
    copy_to_reference(trainer.model)
    use_lean_head(trainer)
    return trainer


def _padded(chat: ChatFormat) -> Any:
    """The tokenizer, with a token to pad with: the collators tell padding by length, not by token,
    so it may be the end of an answer."""
    if chat.tokenizer.pad_token is None:
        chat.tokenizer.pad_token = chat.end_of_answer
    return chat.tokenizer


def _common(knobs: SftSection | DpoSection, seed: int, scratch: Path) -> dict[str, Any]:
    import torch

    accelerated = torch.cuda.is_available()
    return {
        "output_dir": str(scratch),
        "num_train_epochs": knobs.epochs,
        "max_steps": knobs.max_steps,
        "learning_rate": knobs.learning_rate,
        "lr_scheduler_type": "cosine",
        "per_device_train_batch_size": knobs.batch_size,
        "gradient_accumulation_steps": knobs.gradient_accumulation,
        "save_steps": knobs.save_steps,
        "logging_steps": 1,
        "seed": seed,
        "data_seed": seed,
        "pad_to_multiple_of": None if accelerated else CPU_LENGTHS,
        "bf16": True,  # autocast: float32 LoRA weights, bf16 arithmetic
        "use_cpu": not accelerated,
        # Recomputing the activations saves memory that a CPU has, for time that it has not.
        "gradient_checkpointing": accelerated,
        "disable_tqdm": True,
        "report_to": [],
        "dataloader_pin_memory": accelerated,
    }


def train(
    trainer: Any, job: Job, run: TrackingRun, workshop: Workshop, what: str
) -> dict[str, float]:
    """Train to the end, from the newest checkpoint if there is one; returns the trainer's summary.

    The last step is saved as a checkpoint too: should MLflow not take the metrics afterwards, the
    next attempt has nothing to train.
    """
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    from twin.training.callbacks import Checkpoints, Reporting

    checkpoints = Checkpoints(workshop.files, workshop.checkpoints)
    newest = checkpoints.newest(workshop.scratch / "fetched")
    for noisy in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(noisy)
    trainer.add_callback(checkpoints)
    if newest is not None:
        job.result.detail["resumed_from"] = newest.name
    total = _total_steps(trainer)
    with job.progress(what, total) as advance:
        reporting = Reporting(run, advance)
        trainer.add_callback(reporting)
        if newest is not None and _take_over_finished(trainer, newest, total):
            reporting.catch_up(trainer.state)
            losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
            return {"train_loss": sum(losses) / max(len(losses), 1), "train_runtime": 0.0}
        summary = trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    return {name: float(value) for name, value in summary.metrics.items()}


def _take_over_finished(trainer: Any, checkpoint: Path, total: int) -> bool:
    """Load a checkpoint of the last step; the trainer would do one more if it were resumed."""
    from transformers import TrainerState

    state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    if state.global_step < total:
        return False
    trainer._load_from_checkpoint(str(checkpoint))
    trainer.state = state
    return True


def _total_steps(trainer: Any) -> int:
    *_, steps = trainer.set_initial_training_values(trainer.args, trainer.get_train_dataloader())
    return int(steps)


@contextmanager
def scratch_folder(settings: Settings, name: str) -> Iterator[Path]:
    """An empty folder for work in progress, under the home folder; gone afterwards.

    Its name is fixed, so what a killed attempt left is cleared by the next one.
    """
    folder = settings.home.resolve() / "work" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
