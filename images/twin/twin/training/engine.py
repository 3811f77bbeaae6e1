"""The base model as it is trained, and TRL's trainer of the first stage, set up from a recipe."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

from twin.domain.errors import BadConfigurationError
from twin.models.formats.chat_format import ChatFormat
from twin.models.gpus import check_gpus
from twin.recipes import LoraSection, TrainingSection
from twin.settings import Settings
from twin.training.taught_end import (
    TokenIndices,
    begin_at_known_end,
    token_indices,
)
from twin.training.trainer_arguments import sft_arguments

Rows = list[dict[str, Any]]


def load_for_training(
    folder: Path, settings: Settings, recipe: TrainingSection, weights: Path | None = None
) -> tuple[Any, ChatFormat]:
    """Base model (in bf16, or of four bits for QLoRA; no adapter) and its chat format.

    For full fine-tuning its weights are in float32, in which small steps are not rounded away.

    Args:
        folder: of the base model.
        settings: threads and GPUs.
        recipe: its section.
        weights: folder of all weights as an earlier stage has trained them, if it has.

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
    chat = ChatFormat.shared(folder)
    model = AutoModelForCausalLM.from_pretrained(
        weights or folder,
        local_files_only=True,
        use_safetensors=True,
        dtype=torch.float32 if recipe.method == "full" else torch.bfloat16,
        **(_four_bits() if recipe.method == "qlora" else {}),
    )
    if not recipe.teach_end and recipe.method != "full":
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


def lora_config(
    lora: LoraSection, taught: TokenIndices | None = None, *, dora: bool = False
) -> Any:
    """LoRA on every linear layer of the body; of embedding and head only ``taught`` rows.

    With ``dora`` the size of a layer's columns is trained apart from their direction (Liu et al.,
    2024, arXiv:2402.09353).
    """
    from peft import LoraConfig

    return LoraConfig(
        use_dora=dora,
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
    """TRL's SFT trainer on tokenised rows, with a new adapter on ``model`` if it has none.

    With method ``full`` there is none: all of ``model`` is trained.
    """
    from datasets import Dataset
    from transformers import EarlyStoppingCallback
    from trl import SFTConfig, SFTTrainer

    from twin.training.lean_head import use_lean_head
    from twin.training.steadfast import Steadfast

    class SteadfastSFTTrainer(Steadfast, SFTTrainer):
        """TRL's, with what the house adds."""

    knobs = recipe.sft
    whole = recipe.method == "full" or hasattr(model, "peft_config")
    taught = token_indices(model, chat) if recipe.teach_end and not whole else None
    trainer = SteadfastSFTTrainer(
        model=model,
        args=SFTConfig(**sft_arguments(recipe, scratch, validated=bool(validation))),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(validation) if validation else None,
        processing_class=padded(chat),
        peft_config=None
        if whole
        else lora_config(recipe.lora, taught, dora=recipe.method == "dora"),
        callbacks=[EarlyStoppingCallback(knobs.early_stopping)]
        if validation and knobs.early_stopping
        else [],
    )
    if taught is not None:
        begin_at_known_end(trainer.model, chat)
    use_lean_head(trainer)
    return trainer


def padded(chat: ChatFormat) -> Any:
    """The tokenizer, with a token to pad with: the collators tell padding by length, not by token,
    so it may be the end of an answer."""
    if chat.tokenizer.pad_token is None:
        chat.tokenizer.pad_token = chat.end_of_answer
    return chat.tokenizer


def save_trained(trainer: Any, folder: Path) -> None:
    """Write what has been trained: the adapter, or all weights in bf16."""
    import torch

    model = trainer.model
    if trainer.is_fsdp_enabled:  # all processes give their shares, the first one writes
        trainer.save_model(str(folder))
    elif hasattr(model, "peft_config"):
        model.save_pretrained(folder, selected_adapters=["default"])
    else:
        model.to(torch.bfloat16).save_pretrained(folder)
