"""transformers' trainer for a base model from nothing, and what the model writes as it learns."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from transformers import TrainerCallback  # noqa: TID253 - imported by the training functions only

from twin.domain.errors import TwinError
from twin.recipes import OwnBaseSection, TrainingSection
from twin.training.own_base.model import Rows
from twin.training.trainer_arguments import best_checkpoint_arguments

log = structlog.get_logger("twin")

TEMPERATURE = 0.8
"""Of the samples: at 0 a half-trained model repeats itself, at 1 it makes more slips than it has
to."""


class Samples(TrainerCallback):
    """Has the model go on with a prompt at each validation, and shows it with the perplexity.

    Random numbers of the training are left as they are, so that a resumed one stays the same.
    """

    def __init__(
        self, tokenizer: Any, section: OwnBaseSection, keep: Callable[[int, str], None]
    ) -> None:
        self._tokenizer = tokenizer
        self._section = section
        self._keep = keep

    def on_evaluate(
        self,
        _args: Any,
        state: Any,
        _control: Any,
        model: Any = None,
        metrics: dict[str, float] | None = None,
        **_kwargs: Any,
    ) -> None:
        """Write, show, keep; what can't be kept now is shown only."""
        text = written_by(model, self._tokenizer, self._section, seed=state.global_step)
        loss = (metrics or {}).get("eval_loss", math.nan)
        log.info(
            "it writes", step=state.global_step, perplexity=round(perplexity(loss), 2), text=text
        )
        try:
            self._keep(state.global_step, text)
        except TwinError as error:  # before the checkpoint of this step is saved
            log.warning("the sample is not kept", step=state.global_step, reason=str(error))


def written_by(model: Any, tokenizer: Any, section: OwnBaseSection, seed: int) -> str:
    """What the model writes after the recipe's prompt; the same for the same seed."""
    import torch

    prompt = tokenizer(section.sample_prompt, return_tensors="pt", return_token_type_ids=False)
    room = section.max_length - prompt["input_ids"].shape[1]
    if room < 1:
        return section.sample_prompt
    was_training = model.training
    model.eval()
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(seed)
        ids = model.generate(
            **prompt.to(model.device),
            max_new_tokens=min(section.sample_tokens, room),
            do_sample=True,
            temperature=TEMPERATURE,
            top_k=0,
            pad_token_id=tokenizer.eos_token_id,
        )
    model.train(was_training)
    return str(tokenizer.decode(ids[0], skip_special_tokens=True))


def perplexity(loss: float) -> float:
    """Of a mean loss a token, in nats: how many tokens it is as unsure between."""
    return math.exp(loss) if loss < 700 else math.inf


def base_trainer(
    model: Any,
    tokenizer: Any,
    recipe: TrainingSection,
    scratch: Path,
    rows: tuple[Rows, Rows],
    keep: Callable[[int, str], None],
) -> Any:
    """The trainer, ready to be killed at any time; it ends with the checkpoint of least perplexity.

    Args:
        model: of `make_model`.
        tokenizer: of `make_tokenizer`.
        recipe: with section ``own_base``.
        scratch: folder for its checkpoints.
        rows: to learn, and held out.
        keep: is given step and text of each sample.
    """
    from datasets import Dataset
    from transformers import (
        EarlyStoppingCallback,
        Trainer,
        TrainingArguments,
        default_data_collator,
    )

    from twin.training.steadfast import Steadfast

    class SteadfastTrainer(Steadfast, Trainer):
        """transformers', with what the house adds."""

    section = recipe.own_base
    return SteadfastTrainer(
        model=model,
        args=TrainingArguments(**best_checkpoint_arguments(section, recipe, scratch)),
        train_dataset=Dataset.from_list(rows[0]),
        eval_dataset=Dataset.from_list(rows[1]),
        data_collator=default_data_collator,
        callbacks=[
            Samples(tokenizer, section, keep),
            EarlyStoppingCallback(section.early_stopping),
        ],
    )
