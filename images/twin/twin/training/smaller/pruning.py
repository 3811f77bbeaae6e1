"""`twin training prune`: a copy of the trained twin without what matters least."""

import json
from pathlib import Path
from typing import Any

from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.sample import Split
from twin.job import Job
from twin.models.adapters import record_base
from twin.models.formats.chat_format import ChatFormat
from twin.stores.files import FileStore, open_files
from twin.stores.sample_sets import SampleSets
from twin.training.candidates import draw_order
from twin.training.loop import Workshop
from twin.training.plan import TrainingPlan, plan_training
from twin.training.processes import training_run
from twin.training.scratch import scratch_folder
from twin.training.smaller.plan import plan_pruning
from twin.training.smaller.teacher import loaded, merged_twin, size_of
from twin.training.tokens import instruct_rows


def run_prune(job: Job) -> None:
    """Prune the recipe's trained twin, unless it was pruned so.

    Raises:
        NothingToDo: it was.
        BadDataError: there is no trained twin yet, no sample to measure by, or the family is made
            otherwise than the method needs.
        TryAgainError: MLflow did not answer, or another process prunes this.
    """
    files = open_files(job.settings)
    twin = plan_training(job.recipe, job.settings, files)
    plan = plan_pruning(twin, job.recipe)
    job.result.ids["dataset_version"] = twin.manifest.version
    job.result.uris["weights"] = files.uri(plan.weights)
    if files.is_published(plan.weights):
        raise NothingToDo("the trained twin is pruned so already")
    twin.check_trained(files)
    section = job.recipe.training.pruning
    with (
        scratch_folder(job.settings, f"prune-{job.recipe.name}") as scratch,
        training_run(job, twin, "prune", plan.root) as run,
    ):
        run.log_params(
            {
                "base_model": twin.base.name,
                "twin": twin.dpo_adapter,
                "dataset_version": twin.manifest.version,
                "recipe_digest": job.recipe.digest(),
                "code_version": job.settings.code_version,
                **{f"pruning.{key}": value for key, value in section.model_dump().items()},
            }
        )
        with job.progress("pruning", 2) as advance:
            folder = merged_twin(job, files, twin, scratch)
            advance(1)
            measured = _prune(job, files, twin, folder, scratch / "weights")
            advance(1)
        record_base(scratch / "weights", twin.base)
        run.log_metrics({"sparsity": measured["sparsity"], "size_bytes": measured["size_bytes"]})
        run.log_text(json.dumps(measured, indent=2), "pruning.json")
        run.flush()
        files.write_json(plan.note, measured)
        Workshop(files, scratch, f"{plan.root}/checkpoints").publish(
            scratch / "weights", plan.weights
        )
    job.counts.written = 1
    job.result.detail.update(measured)


def _prune(
    job: Job, files: FileStore, plan: TrainingPlan, twin: Path, target: Path
) -> dict[str, Any]:
    """Write the pruned model; returns what is said of it."""
    from twin.training.smaller.layers import save_copy
    from twin.training.smaller.pruned import prune

    section = job.recipe.training.pruning
    texts = _texts(job, files, plan, ChatFormat.load(twin))
    before = size_of(twin)
    pruned = prune(loaded(twin), section, texts)
    save_copy(pruned.model, twin, target)
    return {
        "method": section.method,
        "kept": pruned.kept,
        "sparsity": round(pruned.sparsity, 4),
        "by_layer": [round(value, 5) for value in pruned.measured],
        "size_bytes": size_of(target),
        "twins_size_bytes": before,
    }


def _texts(job: Job, files: FileStore, plan: TrainingPlan, chat: ChatFormat) -> list[list[int]]:
    """Prompts with the author's answers, as tokens: what a twin reads and writes.

    Raises:
        BadDataError: there is none.
    """
    recipe = job.recipe
    samples = SampleSets(files, recipe.name).instruct(plan.manifest.version, Split.TRAIN)
    chosen = draw_order(samples, recipe.training.seed)[: recipe.training.pruning.samples]
    job.counts.read = len(chosen)
    rows = instruct_rows(chat, recipe.author.name, chosen, 1 << 30, lambda *_: None, recipe.prompt)
    if not rows:
        raise BadDataError("there is no training sample to measure layers by: make samples first")
    return [row["input_ids"][: recipe.training.sft.max_length] for row in rows]
