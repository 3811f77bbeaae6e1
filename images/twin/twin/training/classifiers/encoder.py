"""An encoder with a new head over labels, and transformers' trainer for it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twin.domain.errors import BadConfigurationError, BadDataError
from twin.models.embedder import FolderEmbedder, load_embedder
from twin.models.gpus import check_gpus
from twin.recipes import TextClassifierSection, TrainingSection
from twin.settings import Settings
from twin.training.classifiers.corpus import LabelledText
from twin.training.trainer_arguments import CPU_LENGTHS, best_checkpoint_arguments

Rows = list[dict[str, Any]]


def encoder_folder(name: str, settings: Settings) -> Path:
    """The folder of an encoder: one of this machine, or that of an embedder.

    Raises:
        BadDataError: no such encoder, or its weights are not in safetensors.
        BadConfigurationError: its package is missing, or it keeps no weights to begin with.
    """
    folder = Path(name)
    if not (folder / "config.json").is_file():
        embedder = load_embedder(name, settings)
        if not isinstance(embedder, FolderEmbedder):
            raise BadConfigurationError(
                f"encoder {name!r} keeps no weights that training could begin with: name a folder, "
                "or another embedder"
            )
        folder = embedder.folder
    if not any(folder.glob("*.safetensors")):
        raise BadDataError(
            f"{folder} holds no weights in safetensors, and no others are read: convert them"
        )
    return folder.resolve()


def load_encoder(
    folder: Path, labels: Sequence[str], settings: Settings, seed: int
) -> tuple[Any, Any]:
    """The model with a new head, in float32, and its tokenizer.

    Args:
        folder: of the encoder.
        labels: of the head, in order.
        settings: threads and GPUs.
        seed: draws the head.

    Raises:
        BadDataError: the folder holds no encoder that can classify.
        BadConfigurationError: this job does not see the GPUs that it was given.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    check_gpus(settings, training=True)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # it warns that the head is new, which is the aim
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(seed)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForSequenceClassification.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            id2label=dict(enumerate(labels)),
            label2id={label: number for number, label in enumerate(labels)},
            problem_type="single_label_classification",
            ignore_mismatched_sizes=True,  # the head of another classifier
        )
    except (OSError, ValueError, KeyError) as error:
        raise BadDataError(f"{folder} is no encoder that can classify: {error}") from None
    return model, tokenizer


def rows_of(
    texts: Sequence[LabelledText], labels: Sequence[str], tokenizer: Any, most: int
) -> Rows:
    """Tokens and number of the label of each text; what is longer than ``most`` is cut."""
    number = {label: place for place, label in enumerate(labels)}
    encoded = tokenizer([each.text for each in texts], truncation=True, max_length=most)
    names = [name for name in tokenizer.model_input_names if name in encoded]
    return [
        {**{name: encoded[name][place] for name in names}, "labels": number[each.label]}
        for place, each in enumerate(texts)
    ]


def label_weights(texts: Sequence[LabelledText], labels: Sequence[str]) -> list[float]:
    """Weights of the labels by which each counts the same in sum; 1 where all are as frequent."""
    counts = Counter(each.label for each in texts)
    return [len(texts) / (len(labels) * counts[label]) for label in labels]


def longest_of(model: Any, tokenizer: Any, most: int) -> int:
    """Tokens of a text that the encoder can be trained on, at most ``most``."""
    positions = getattr(model.config, "max_position_embeddings", None) or most
    return int(min(most, positions, tokenizer.model_max_length))


def classifier_trainer(
    loaded: tuple[Any, Any],
    section: TextClassifierSection,
    recipe: TrainingSection,
    scratch: Path,
    rows: tuple[Rows, Rows],
    weights: Sequence[float] | None,
) -> Any:
    """transformers' trainer, ready to be killed at any time, that ends with its best checkpoint.

    Args:
        loaded: model and tokenizer.
        section: of the classifier.
        recipe: whose seed it is.
        scratch: folder for its checkpoints.
        rows: of training and of validation.
        weights: of the labels in the loss; None: all alike.
    """
    import torch
    from datasets import Dataset
    from transformers import (
        DataCollatorWithPadding,
        EarlyStoppingCallback,
        Trainer,
        TrainingArguments,
    )

    from twin.training.steadfast import Steadfast

    class SteadfastTrainer(Steadfast, Trainer):
        """transformers', with what the house adds."""

    model, tokenizer = loaded
    balance = None if weights is None else torch.tensor(weights)

    def loss(outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:  # noqa: ARG001
        logits = outputs.logits.float()
        scale = None if balance is None else balance.to(logits.device)
        return torch.nn.functional.cross_entropy(logits, labels, weight=scale)

    padding = None if torch.cuda.is_available() else min(CPU_LENGTHS, section.max_length)
    return SteadfastTrainer(
        model=model,
        args=TrainingArguments(**best_checkpoint_arguments(section, recipe, scratch)),
        train_dataset=Dataset.from_list(rows[0]),
        eval_dataset=Dataset.from_list(rows[1]),
        processing_class=tokenizer,
        data_collator=_collator(DataCollatorWithPadding, tokenizer, padding, model),
        compute_loss_func=loss,
        callbacks=[EarlyStoppingCallback(section.early_stopping)],
    )


def _collator(kind: Any, tokenizer: Any, multiple: int | None, model: Any) -> Any:
    """Pads to a multiple, unless the encoder has no position for the padding."""
    positions = getattr(model.config, "max_position_embeddings", None)
    fits = positions is None or multiple is None or positions % multiple == 0
    return kind(tokenizer, pad_to_multiple_of=multiple if fits else None)
