"""The job `twin training pretrain`: a base model of one's own, trained from nothing.

What comes of it is kept as any base model is (`twin models list`), so that the loop can train on
it: ``training.base_model: own-base``, which means the newest. In the file store
``training/<recipe>/own-base-<fingerprint>.json`` says what was made of which inputs.
"""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from twin.domain.errors import NothingToDo
from twin.job import Job
from twin.models.bases.fetch import fetch_base_model
from twin.models.bases.kept import KeptBases
from twin.models.gpus import check_gpus
from twin.stores.files import FileStore, open_files
from twin.stores.sample_sets import SampleSets
from twin.stores.tracking import TrackingRun, tracking_run
from twin.training.loop import Workshop, train
from twin.training.own_base.model import Rows, make_model, make_tokenizer, rows_of
from twin.training.own_base.texts import Texts, texts_of_folder, texts_of_samples
from twin.training.patience import patiently
from twin.training.scratch import scratch_folder

TRAINER = "1"
"""Version of this code, part of every fingerprint: raise it when results change."""


def run_pretrain(job: Job) -> None:
    """Train tokenizer and model unless they were made of the same inputs.

    Raises:
        NothingToDo: they were.
        BadDataError: too little text, or loss or gradients are no numbers.
        TryAgainError: a store did not answer, SIGTERM has come, or another process trains this.
            What was trained is kept in checkpoints.
    """
    files, section = open_files(job.settings), job.recipe.training.own_base
    texts = _texts(job, files)
    job.counts.read = len(texts.learned) + len(texts.held_out)
    fingerprint = _fingerprint(job, texts)
    place = f"training/{job.recipe.name}/own-base-{fingerprint}"
    if files.exists(f"{place}.json"):
        known = files.read_json(f"{place}.json")
        job.result.detail.update(known)
        raise NothingToDo(f"base model {known['base_model']} is of these texts and values already")
    with (
        scratch_folder(job.settings, f"own-base-{job.recipe.name}") as scratch,
        tracking_run(
            job.settings,
            experiment=job.recipe.name,
            name="pretrain",
            version=fingerprint,
            tags={"stage": "pretrain", "run_id": job.run_id},
            key=fingerprint,
        ) as run,
    ):
        job.result.uris["mlflow_run"], job.result.ids["mlflow_run"] = run.url, run.id
        run.log_params({**section.model_dump(mode="json"), "texts": texts.digest})
        workshop = Workshop(files, scratch, f"{place}-checkpoints")
        folder, measured = _train(job, texts, workshop, run)
        run.log_metrics(measured)
        run.flush()  # before it is kept: after that, nobody would send them
        base, _ = patiently(lambda: fetch_base_model(str(folder), job.settings, id=section.name))
        # A recipe that names it without a revision means the newest.
        patiently(lambda: KeptBases(files).take_bare_name(base))
        made = {"base_model": base.name, "base_digest": base.digest, **measured}
        patiently(lambda: files.write_json(f"{place}.json", made))
        patiently(lambda: files.remove(workshop.checkpoints))
    job.counts.written = 1
    job.result.ids["base_model"] = base.name
    job.result.uris["base_model"] = files.uri(base.folder)
    job.result.detail.update(made)


def _texts(job: Job, files: FileStore) -> Texts:
    section, recipe = job.recipe.training.own_base, job.recipe
    if section.corpus is None:
        return texts_of_samples(SampleSets(files, recipe.name))
    return texts_of_folder(section.corpus, section.held_out_share, recipe.training.seed)


def _fingerprint(job: Job, texts: Texts) -> str:
    training = job.recipe.training
    unimportant = {"corpus", "logging_steps", "checkpoints_kept", "sample_prompt", "sample_tokens"}
    parts = (
        TRAINER,
        texts.digest,
        str(training.seed),
        training.own_base.model_dump_json(exclude=unimportant),
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _train(
    job: Job, texts: Texts, workshop: Workshop, run: TrackingRun
) -> tuple[Path, dict[str, float]]:
    """Train; returns the model's folder, and what it is worth on the held-out texts."""
    import torch
    from transformers.utils import logging as transformers_logging

    from twin.training.own_base.trainer import base_trainer

    check_gpus(job.settings, training=True)
    transformers_logging.disable_progress_bar()
    if job.settings.threads is not None:
        torch.set_num_threads(job.settings.threads)
    recipe = job.recipe.training
    section = recipe.own_base
    tokenizer = make_tokenizer(texts.learned, section)
    learned = rows_of(tokenizer, texts.learned, section.max_length)
    held_out = rows_of(tokenizer, texts.held_out, section.max_length, may_be_short=True)
    model = make_model(tokenizer, section, recipe.seed)

    def keep(step: int, text: str) -> None:
        run.log_text(text, f"samples/{step}.txt")

    trainer = base_trainer(
        model, tokenizer, recipe, workshop.scratch / "trainer", (learned, held_out), keep
    )
    train(trainer, job, run, workshop, "pretraining from nothing", kept=section.checkpoints_kept)
    best = trainer.state.best_metric  # None: it ended before its first checkpoint
    loss = float(trainer.evaluate()["eval_loss"] if best is None else best)
    folder = workshop.scratch / "base"
    _save(trainer.model, tokenizer, folder, job.recipe.author.name)
    job.result.detail["steps"] = trainer.state.global_step
    return folder, _measures(loss, tokenizer, texts, held_out, trainer.model)


def _measures(
    loss: float, tokenizer: Any, texts: Texts, held_out: Rows, model: Any
) -> dict[str, float]:
    """Perplexity, which depends on the tokenizer, and bits a byte, which don't."""
    from twin.training.own_base.trainer import perplexity

    counts = tokenizer(list(texts.held_out), add_special_tokens=False)["input_ids"]
    tokens = sum(map(len, counts))
    size = sum(len(text.encode()) for text in texts.held_out)
    return {
        "perplexity": perplexity(loss),
        "bits_per_byte": loss / math.log(2) * tokens / size,
        "held_out_rows": float(len(held_out)),
        "vocabulary": float(len(tokenizer)),
        "parameters": float(model.num_parameters()),
    }


def _save(model: Any, tokenizer: Any, folder: Path, author: str) -> None:
    """In bf16, as every base model is kept."""
    import torch

    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    licence = f"Trained from nothing on texts of {author}: whose they are, says what may be done."
    (folder / "LICENCE").write_text(licence + "\n", encoding="utf-8")
