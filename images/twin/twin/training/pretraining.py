"""Continued pretraining: the author's passages as plain text, before any question is learned.

It teaches vocabulary and manner by all the text there is (Gururangan et al., 2020,
arXiv:2004.10964). The text is that of the training samples whose answers are passages word for
word, so it is pinned with them, and holds nothing of documents that are held out.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample
from twin.job import Job
from twin.models.adapters import check_base, is_adapter, record_base
from twin.models.formats.chat_format import ChatFormat
from twin.recipes import SftSection, TrainingSection
from twin.stores.tracking import TrackingRun
from twin.training.engine import Rows, load_for_training, save_trained, sft_trainer
from twin.training.loop import Workshop, train
from twin.training.plan import TrainingPlan


def passage_rows(chat: ChatFormat, samples: Sequence[InstructSample], max_length: int) -> Rows:
    """Rows of each passage once, all of whose tokens are learned, and its end.

    A long one is cut into rows of ``max_length`` tokens: as a text it may begin anywhere.
    """
    texts = dict.fromkeys(sample.answer for sample in samples if sample.is_verbatim)
    rows = []
    for text in texts:
        ids = [*chat.tokenizer.encode(text), chat.tokenizer.eos_token_id]
        for start in range(0, len(ids), max_length):
            part = ids[start : start + max_length]
            rows.append({"input_ids": part, "labels": list(part), "length": len(part)})
    return rows


def pretrain(
    job: Job,
    plan: TrainingPlan,
    base: Path,
    samples: Sequence[InstructSample],
    workshop: Workshop,
    run: TrackingRun,
) -> None:
    """Train on the passages, unless an earlier attempt has; what comes of it is published.

    Raises:
        BadDataError: no sample is a passage word for word.
    """
    if workshop.files.is_published(plan.pretrained):
        return
    knobs = job.recipe.training.pretraining
    model, chat = load_for_training(base, job.settings, job.recipe.training)
    rows = passage_rows(chat, samples, knobs.max_length)
    if not rows:
        raise BadDataError(
            "no training sample has a passage of the author for its answer: set "
            "training.pretraining.epochs to 0, or make samples of passages (datasets)"
        )
    own = workshop.apart(f"{plan.sft}/pretraining-checkpoints")
    recipe = as_first_stage(job.recipe.training)
    trainer = sft_trainer(model, chat, recipe, own.scratch / "pretrainer", rows, [])
    what = "continued pretraining"
    train(trainer, job, run, own, what, kept=knobs.checkpoints_kept, prefix="pretraining.")
    job.result.detail["pretraining_steps"] = trainer.state.global_step
    folder = own.scratch / "pretrained"
    save_trained(trainer, folder)
    record_base(folder, plan.base)
    own.publish(folder, plan.pretrained)


def as_first_stage(recipe: TrainingSection) -> TrainingSection:
    """The recipe whose first stage is the continued pretraining."""
    values = recipe.pretraining.model_dump()
    return recipe.model_copy(update={"sft": SftSection.model_validate(values)})


def load_pretrained(
    job: Job, plan: TrainingPlan, base: Path, workshop: Workshop
) -> tuple[Any, ChatFormat]:
    """What continued pretraining has made, to be trained further."""
    folder = workshop.files.fetch_folder(plan.pretrained, workshop.scratch / "fetched")
    check_base(folder, plan.base)
    recipe = job.recipe.training
    if not is_adapter(folder):
        return load_for_training(base, job.settings, recipe, folder)
    from peft import PeftModel

    model, chat = load_for_training(base, job.settings, recipe)
    return PeftModel.from_pretrained(model, folder, is_trainable=True), chat
