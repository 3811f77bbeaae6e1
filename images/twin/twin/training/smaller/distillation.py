"""`twin training distill`: a student learns what the trained twin writes, and how sure it is of it.

Sequence level (Kim and Rush, 2016, arXiv:1606.07947): the student learns the twin's own answers to
the training questions. Logit level (Hinton et al., 2015, arXiv:1503.02531): at each word of an
answer it learns the twin's probabilities of all words.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.sample import InstructSample, Split
from twin.job import Job
from twin.models.adapters import check_base, merge_adapter, record_base
from twin.models.bases.base_models import prepare_base_model
from twin.models.bases.memory import GIB
from twin.models.formats.chat_format import ChatFormat
from twin.recipes import DistillationSection, SftSection, TrainingSection
from twin.stores.files import FileStore, open_files
from twin.stores.sample_sets import SampleSets
from twin.stores.tracking import TrackingRun
from twin.training.engine import Rows, load_for_training, save_trained, sft_trainer
from twin.training.loop import Workshop, train
from twin.training.memory_estimate import check_room
from twin.training.plan import TrainingPlan, plan_training
from twin.training.processes import training_run
from twin.training.scratch import scratch_folder
from twin.training.sft import validation_loss
from twin.training.smaller.plan import DistillationPlan, plan_distillation
from twin.training.smaller.teacher import (
    loaded,
    merged_twin,
    rows_of_answers,
    samples_to_learn,
    size_of,
    twins_answers,
)
from twin.training.tokens import instruct_rows


def run_distill(job: Job) -> None:
    """Train a student of the recipe's trained twin, unless one was trained from the same inputs.

    Raises:
        NothingToDo: it was.
        BadDataError: there is no trained twin yet, it writes nothing, its words are not the
            student's, there is no room, or loss or gradients are no numbers.
        TryAgainError: MLflow did not answer, the file store was away for long, SIGTERM has come, or
            another process trains this. What was written and trained is kept.
    """
    files = open_files(job.settings)
    twin = plan_training(job.recipe, job.settings, files)
    plan = plan_distillation(twin, job.recipe, job.settings)
    job.result.ids["dataset_version"] = twin.manifest.version
    job.result.uris["weights"] = files.uri(plan.weights)
    if files.is_published(plan.weights):
        raise NothingToDo("the trained twin has taught this student already")
    twin.check_trained(files)
    with (
        scratch_folder(job.settings, f"distill-{job.recipe.name}") as scratch,
        training_run(job, twin, "distill", plan.root) as run,
    ):
        run.log_params(_parameters(job, plan))
        twin.log_samples(run, files)
        _distill(job, plan, Workshop(files, scratch, f"{plan.root}/checkpoints"), run)


@dataclass(frozen=True)
class _Pupil:
    """The student before it learns, and the folder of the twin that teaches it."""

    twin: Path
    folder: Path
    chat: ChatFormat


def _distill(job: Job, plan: DistillationPlan, workshop: Workshop, run: TrackingRun) -> None:
    from twin.training.smaller.rounding import unround

    files, section = workshop.files, job.recipe.training.distillation
    twin = merged_twin(job, files, plan.twin, workshop.scratch)
    student = _student(job, plan, twin, workshop.scratch / "student")
    pupil = _Pupil(twin, student, ChatFormat.shared(student))
    rows = _rows(job, plan, files, pupil)
    if section.logits:
        _check_same_words(pupil, SampleSets(files, job.recipe.name), plan.twin, job)
    validation = _validation(job, files, plan.twin, pupil.chat)
    trainer = _trainer(job, plan, pupil, rows, validation, workshop.scratch / "trainer")
    summary = train(trainer, job, run, workshop, "distillation", kept=section.checkpoints_kept)
    _report(job, trainer, summary, rows, pupil)
    unround(trainer.model)
    trained, whole = workshop.scratch / "trained", workshop.scratch / "weights"
    save_trained(trainer, trained)
    merge_adapter(pupil.folder, trained, whole)
    record_base(whole, plan.base)
    run.flush()  # before the student is published: after that, nobody would send them
    workshop.publish(whole, plan.weights)
    files.remove(plan.answers)


def _report(job: Job, trainer: Any, summary: dict[str, float], rows: Rows, pupil: _Pupil) -> None:
    if trainer.eval_dataset is not None:
        job.result.detail["validation_loss"] = validation_loss(trainer)
    job.counts.written = trainer.state.global_step
    job.result.detail.update(
        steps=trainer.state.global_step,
        train_loss=summary["train_loss"],
        train_seconds=summary["train_runtime"],
        samples=len(rows),
        size_bytes=size_of(pupil.folder),
        twins_size_bytes=size_of(pupil.twin),
    )


def _student(job: Job, plan: DistillationPlan, twin: Path, folder: Path) -> Path:
    """Folder of the student as it begins: a base model, or what is copied of the twin."""
    if not plan.is_copy:
        return prepare_base_model(plan.base.name, job.settings)
    if plan.pruned is not None:
        files = open_files(job.settings)
        plan.pruned.check(files)
        made = files.fetch_folder(plan.pruned.weights, folder)
        check_base(made, plan.base)
        return made
    if job.recipe.training.distillation.copied == "whole":
        return twin
    from twin.training.smaller.layers import evenly, kinds_of_layers, save_copy, with_layers

    model = loaded(twin)
    kinds = kinds_of_layers(model.config)
    keep = math.ceil(len(kinds) / job.recipe.training.distillation.keep_every)
    chosen = evenly(kinds, keep)
    job.result.detail["layers"] = chosen
    save_copy(with_layers(model, chosen), twin, folder)
    return folder


def _rows(job: Job, plan: DistillationPlan, files: FileStore, pupil: _Pupil) -> Rows:
    section = job.recipe.training.distillation
    samples = samples_to_learn(job, files, plan.twin)
    job.counts.read += len(samples)
    if section.texts == "author":
        rows = _authors_rows(job, pupil.chat, samples)
    else:
        written = twins_answers(job, files, plan, pupil.twin, samples)
        rows = rows_of_answers(job, pupil.chat, samples, written)
    if not rows:
        raise BadDataError(
            "no training sample fits: raise training.distillation.max_length "
            f"({section.max_length})"
        )
    return rows


def _authors_rows(job: Job, chat: ChatFormat, samples: list[InstructSample]) -> Rows:
    recipe = job.recipe
    most = recipe.training.distillation.max_length

    def too_long(sample_id: str, length: int) -> None:
        job.skip_item(sample_id, f"{length} tokens, more than training.distillation.max_length")

    return instruct_rows(chat, recipe.author.name, samples, most, too_long, recipe.prompt)


def _validation(job: Job, files: FileStore, plan: TrainingPlan, chat: ChatFormat) -> Rows:
    """The author's answers of the validation split: the manner that the student is to have."""
    samples = SampleSets(files, job.recipe.name).instruct(plan.manifest.version, Split.VALIDATION)
    rows = _authors_rows(job, chat, samples)
    most = job.recipe.training.sft.max_validation_samples
    return rows[:: max(1, math.ceil(len(rows) / most))]


def _check_same_words(pupil: _Pupil, samples: SampleSets, plan: TrainingPlan, job: Job) -> None:
    """Refuse a student whose tokens are not the twin's: their probabilities can't be compared.

    Raises:
        BadDataError: they differ in a token, or write a prompt otherwise.
    """
    twin = ChatFormat.load(pupil.twin)
    vocabularies = [chat.tokenizer.get_vocab() for chat in (twin, pupil.chat)]
    [sample, *_] = samples.instruct(plan.manifest.version, Split.TRAIN)
    rows = [
        instruct_rows(chat, job.recipe.author.name, [sample], 1 << 30, _never, job.recipe.prompt)
        for chat in (twin, pupil.chat)
    ]
    if vocabularies[0] != vocabularies[1] or rows[0] != rows[1]:
        raise BadDataError(
            "the student does not write with the twin's tokens, so that the probabilities that "
            "both give to a word can't be compared: set training.distillation.logits to 0, which "
            "needs no common vocabulary, or name a student of the twin's family"
        )


def _never(_sample_id: str, _length: int) -> None:
    """No sample is too long to be compared."""


def _trainer(
    job: Job, plan: DistillationPlan, pupil: _Pupil, rows: Rows, validation: Rows, scratch: Path
) -> Any:
    from twin.models.formats.trained_end import check_end_is_trained
    from twin.training.smaller.divergence import learn_from
    from twin.training.smaller.pruned import keep_zeros
    from twin.training.smaller.rounding import BITS, round_weights

    section = job.recipe.training.distillation
    recipe = as_fine_tuning(job.recipe.training)
    longest = max(row["length"] for row in rows)
    taken = size_of(pupil.twin) if section.logits else 0
    try:
        estimate = check_room(plan.base.name, pupil.folder, recipe, longest, taken)
    except BadDataError as error:
        raise BadDataError(
            f"{error}. Of a student, what is said of training.sft holds for training.distillation, "
            "whose method is full or lora"
        ) from None
    job.result.detail["memory_estimate_gib"] = round((estimate + taken) / GIB, 2)
    model, chat = load_for_training(pupil.folder, job.settings, recipe)
    check_end_is_trained(model, chat)
    if section.method == "full":
        # Most of a small model's numbers, and in a copy of the twin the twin's own.
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            layer.requires_grad_(False)
    if plan.pruned is not None and job.recipe.training.pruning.method == "magnitude":
        keep_zeros(model)
    if section.quantised != "none":
        round_weights(model, BITS[section.quantised])
    trainer = sft_trainer(model, chat, recipe, scratch, rows, validation)
    if section.logits:
        learn_from(trainer, loaded(pupil.twin), section.logits)
    return trainer


def as_fine_tuning(training: TrainingSection) -> TrainingSection:
    """The recipe whose supervised fine-tuning is the student's training."""
    own: DistillationSection = training.distillation
    values = own.model_dump(include=set(SftSection.model_fields))
    return training.model_copy(
        update={
            "sft": SftSection.model_validate(values),
            "method": own.method,
            "teach_end": False,
            "sharding": "none",
            # What is estimated of memory is of this training alone.
            "dpo": training.dpo.model_copy(update={"enabled": False}),
        }
    )


def _parameters(job: Job, plan: DistillationPlan) -> dict[str, object]:
    training = job.recipe.training
    section = training.distillation
    return {
        "base_model": plan.base.name,
        "twin": plan.twin.dpo_adapter,
        "dataset_version": plan.twin.manifest.version,
        "recipe_digest": job.recipe.digest(),
        "code_version": job.settings.code_version,
        **{f"distillation.{key}": value for key, value in section.model_dump().items()},
        **(
            {f"lora.{key}": value for key, value in training.lora.model_dump().items()}
            if section.method == "lora"
            else {}
        ),
    }
