"""TRL's trainers of the second stage on rows of `twin.training.tokens`, set up from a recipe."""

import random
from pathlib import Path
from typing import Any

from twin.models.formats.chat_format import ChatFormat
from twin.recipes import TrainingSection
from twin.training.engine import Rows, padded
from twin.training.taught_end import copy_to_reference
from twin.training.trainer_arguments import dpo_arguments, orpo_arguments


def dpo_trainer(
    model: Any,
    chat: ChatFormat,
    recipe: TrainingSection,
    scratch: Path,
    rows: Rows,
    reference: Any = None,
) -> Any:
    """The trainer of the recipe's method (``training.dpo.method``) on tokenised pairs.

    Args:
        model: with the adapter of the first stage, trainable; or all its weights.
        chat: the model's.
        recipe: its section.
        scratch: where the trainer saves.
        rows: as `preference_rows` makes them.
        reference: of a model without adapter, the same before this stage. Of one with an adapter
            it is a frozen copy of that adapter on the same base, which TRL switches to.
    """
    from twin.training.lean_head import use_lean_head

    make = {"dpo": _dpo, "kto": _kto, "orpo": _orpo}[recipe.dpo.method]
    trainer = make(model, chat, recipe, scratch, rows, reference)
    if "ref" in getattr(trainer.model, "peft_config", {}):
        copy_to_reference(trainer.model)
    use_lean_head(trainer)
    return trainer


def _dpo(
    model: Any, chat: ChatFormat, recipe: TrainingSection, scratch: Path, rows: Rows, reference: Any
) -> Any:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    from twin.training.steadfast import Steadfast

    class PretokenisedDPOTrainer(Steadfast, DPOTrainer):
        """Takes rows as `twin.training.tokens` makes them, and leaves them as they are."""

        def _prepare_dataset(self, dataset: Any, *_args: Any, **_kwargs: Any) -> Any:
            return dataset

    return PretokenisedDPOTrainer(
        model=model,
        ref_model=reference,
        args=DPOConfig(**dpo_arguments(recipe, scratch)),
        train_dataset=Dataset.from_list(rows),
        processing_class=padded(chat),
    )


def _kto(
    model: Any, chat: ChatFormat, recipe: TrainingSection, scratch: Path, rows: Rows, reference: Any
) -> Any:
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer

    from twin.training.steadfast import Steadfast

    class PretokenisedKTOTrainer(Steadfast, KTOTrainer):
        """Takes rows of `unpaired_rows`, and leaves them as they are."""

        def _prepare_dataset(self, dataset: Any, *_args: Any, **_kwargs: Any) -> Any:
            return dataset

    return PretokenisedKTOTrainer(
        model=model,
        ref_model=reference,
        args=KTOConfig(**dpo_arguments(recipe, scratch)),
        train_dataset=Dataset.from_list(unpaired_rows(rows, recipe.dpo.batch_size, recipe.seed)),
        processing_class=padded(chat),
    )


def _orpo(
    model: Any, chat: ChatFormat, recipe: TrainingSection, scratch: Path, rows: Rows, _none: Any
) -> Any:
    from datasets import Dataset
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    from twin.training.steadfast import Steadfast

    class PretokenisedORPOTrainer(Steadfast, ORPOTrainer):
        """Takes rows of `labelled_rows`, and leaves them as they are."""

        def tokenize_row(self, _feature: Any, _model: Any = None) -> dict[str, Any]:
            """Nothing beside the row itself."""
            return {}

    return PretokenisedORPOTrainer(
        model=model,
        args=ORPOConfig(**orpo_arguments(recipe, scratch)),
        train_dataset=Dataset.from_list(labelled_rows(rows)),
        processing_class=padded(chat),
    )


def unpaired_rows(rows: Rows, batch_size: int, seed: int) -> Rows:
    """Each text of the pairs by itself, as KTO takes them: in the order of training.

    The divergence is estimated by texts to prompts that they do not belong to: the others of the
    same batch, so a batch must not be a pair.
    """
    texts = [
        {"prompt_ids": row["prompt_ids"], "completion_ids": row[key], "label": key == "chosen_ids"}
        for row in rows
        for key in ("chosen_ids", "rejected_ids")
    ]
    random.Random(seed).shuffle(texts)  # noqa: S311 - an order, no secret
    for start in range(0, len(texts), batch_size):
        batch = texts[start : start + batch_size]
        for number, text in enumerate(batch):
            text["KL_completion_ids"] = batch[number - 1]["completion_ids"]
    return texts


def labelled_rows(rows: Rows) -> Rows:
    """Pairs as ORPO's collator takes them: both texts after the prompt, with labels."""
    made = []
    for row in rows:
        prompt = row["prompt_ids"]
        # The texts themselves, which the trainer looks for, have been tokenised already.
        columns: dict[str, Any] = {"prompt": "", "chosen": "", "rejected": ""}
        columns |= {"prompt_input_ids": prompt, "prompt_attention_mask": [1] * len(prompt)}
        for side in ("chosen", "rejected"):
            answer = row[f"{side}_ids"]
            columns[f"{side}_input_ids"] = prompt + answer
            columns[f"{side}_attention_mask"] = [1] * (len(prompt) + len(answer))
            columns[f"{side}_labels"] = [-100] * len(prompt) + answer
        made.append(columns)
    return made
