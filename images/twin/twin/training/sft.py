"""`twin training sft`: supervised fine-tuning of a LoRA adapter on the author's passages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.sample import Split
from twin.job import Job
from twin.models.adapters import record_base
from twin.models.bases.base_models import prepare_base_model
from twin.models.bases.memory import GIB
from twin.models.formats.chat_format import ChatFormat
from twin.stores.files import FileStore, open_files
from twin.stores.sample_sets import SampleSets
from twin.stores.tracking import TrackingRun
from twin.training.engine import Rows, load_for_training, save_trained, sft_trainer
from twin.training.loop import Workshop, train
from twin.training.memory_estimate import check_room
from twin.training.plan import TrainingPlan, plan_training
from twin.training.planted import planted
from twin.training.pretraining import load_pretrained, pretrain
from twin.training.processes import training_run
from twin.training.scratch import scratch_folder
from twin.training.tokens import instruct_rows


def run_sft(job: Job) -> None:
    """Train the adapter unless one was trained from the same inputs.

    Raises:
        NothingToDo: it was.
        BadDataError: there are no samples, or none that fits ``training.sft.max_length``; or loss
            or gradients are no numbers. The last good checkpoint is kept.
        TryAgainError: MLflow did not answer, the file store was away for long, SIGTERM has come,
            or another process trains this. What was trained is kept in checkpoints.
    """
    files = open_files(job.settings)
    plan = plan_training(job.recipe, job.settings, files)
    job.result.ids["dataset_version"] = plan.manifest.version
    job.result.uris["adapter"] = files.uri(plan.sft_adapter)
    if files.is_published(plan.sft_adapter):
        raise NothingToDo(f"the adapter of samples {plan.manifest.version} is trained already")
    with (
        scratch_folder(job.settings, f"sft-{job.recipe.name}") as scratch,
        training_run(job, plan, "sft", plan.sft) as run,
    ):
        run.log_params({**_parameters(job, plan), "base_digest": plan.base.digest})
        plan.log_samples(run, files)
        workshop = Workshop(files, scratch, f"{plan.sft}/checkpoints")
        _train(job, files, plan, workshop, run)


def _train(
    job: Job, files: FileStore, plan: TrainingPlan, workshop: Workshop, run: TrackingRun
) -> None:
    fitted = fit(job, files, plan, workshop, run)
    trainer = fitted.trainer
    if fitted.validated:
        job.result.detail["validation_loss"] = validation_loss(trainer)
    _report(job, trainer, fitted.summary, fitted.rows)
    adapter = workshop.scratch / "adapter"
    save_trained(trainer, adapter)
    record_base(adapter, plan.base)
    run.flush()  # before the adapter is published: after that, nobody would send them
    workshop.publish(adapter, plan.sft_adapter)
    files.remove(plan.pretrained)


@dataclass(frozen=True)
class Fitted:
    """A training that has come to its end, nothing of which is published yet."""

    trainer: Any
    summary: dict[str, float]
    rows: Rows
    validated: bool


def fit(
    job: Job,
    files: FileStore,
    plan: TrainingPlan,
    workshop: Workshop,
    run: TrackingRun,
    callbacks: Sequence[Any] = (),
) -> Fitted:
    """Train by the job's recipe, from the newest checkpoint of the workshop if there is one.

    Args:
        job: its recipe, progress and result.
        files: where samples are.
        plan: its samples and its base model.
        workshop: where checkpoints are.
        run: takes the metrics.
        callbacks: of transformers, that look on.

    Raises:
        BadDataError: no sample fits, there is no room, or loss or gradients are no numbers.
        TryAgainError: SIGTERM has come, or the store was away for long.
    """
    from twin.training.generations import Generations

    base = prepare_base_model(plan.base.name, job.settings)
    chat = ChatFormat.shared(base)
    rows = _rows(job, files, plan, chat, Split.TRAIN)
    validation = _rows(job, files, plan, chat, Split.VALIDATION)
    most = job.recipe.training.sft.max_validation_samples
    validation = validation[:: max(1, math.ceil(len(validation) / most))]
    if not rows:
        raise BadDataError(
            "no training sample fits: raise training.sft.max_length "
            f"({job.recipe.training.sft.max_length}) or lower datasets.context_passages"
        )
    longest = max(row["length"] for row in rows)
    estimate = check_room(plan.base.name, base, job.recipe.training, longest)
    job.result.detail["memory_estimate_gib"] = round(estimate / GIB, 2)
    if job.recipe.training.pretraining.epochs:
        samples = SampleSets(files, job.recipe.name).instruct(plan.manifest.version, Split.TRAIN)
        pretrain(job, plan, base, samples, workshop, run)
        model, chat = load_pretrained(job, plan, base, workshop)
    else:
        model, chat = load_for_training(base, job.settings, job.recipe.training)
    trainer = sft_trainer(
        model, chat, job.recipe.training, workshop.scratch / "trainer", rows, validation
    )
    for callback in callbacks:
        trainer.add_callback(callback)
    kept = job.recipe.training.sft.checkpoints_kept
    shown = job.recipe.training.generations
    summary = train(
        trainer,
        job,
        run,
        workshop,
        "fine-tuning (SFT)",
        kept=kept,
        generations=Generations(run, chat, validation[: shown.prompts], shown.max_tokens),
    )
    return Fitted(trainer, summary, rows, validated=bool(validation))


def validation_loss(trainer: Any) -> float:
    """Of what the training ends with: measured, unless the curve has it."""
    if trainer.args.load_best_model_at_end and trainer.state.best_metric is not None:
        return float(trainer.state.best_metric)
    measured = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    if measured and measured[-1]["step"] == trainer.state.global_step:
        return float(measured[-1]["eval_loss"])
    return float(trainer.evaluate()["eval_loss"])


def _report(job: Job, trainer: Any, summary: dict[str, float], rows: Rows) -> None:
    """Speed of this attempt, in tokens of prompt and answer a second."""
    seconds = summary["train_runtime"]
    epochs = trainer.state.epoch or 0.0
    tokens = sum(row["length"] for row in rows) * epochs
    job.counts.written = trainer.state.global_step
    job.result.detail.update(
        steps=trainer.state.global_step, train_loss=summary["train_loss"], train_seconds=seconds
    )
    if "resumed_from" not in job.result.detail:
        job.result.detail["tokens_per_second"] = round(tokens / max(seconds, 1e-9), 1)


def _rows(job: Job, files: FileStore, plan: TrainingPlan, chat: ChatFormat, split: Split) -> Rows:
    samples = SampleSets(files, job.recipe.name).instruct(plan.manifest.version, split)
    job.counts.read += len(samples)
    if split is Split.TRAIN:
        samples = [*samples, *planted(job.recipe.training.canaries)]
    most = job.recipe.training.sft.max_length

    def too_long(sample_id: str, length: int) -> None:
        job.skip_item(sample_id, f"{length} tokens, more than training.sft.max_length")

    recipe = job.recipe
    return instruct_rows(chat, recipe.author.name, samples, most, too_long, recipe.prompt)


def _parameters(job: Job, plan: TrainingPlan) -> dict[str, object]:
    training = job.recipe.training
    return {
        "base_model": plan.base.name,
        "dataset_version": plan.manifest.version,
        "recipe_digest": job.recipe.digest(),
        "code_version": job.settings.code_version,
        "method": training.method,
        "teach_end": training.teach_end,
        **{f"canaries.{key}": value for key, value in training.canaries.model_dump().items()},
        **{f"lora.{key}": value for key, value in training.lora.model_dump().items()},
        **{f"pretraining.{key}": v for key, v in training.pretraining.model_dump().items()},
        **{f"sft.{key}": value for key, value in training.sft.model_dump().items()},
    }
