"""The trained twin as a teacher: as one model, and what it writes to the training samples."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample, Split
from twin.job import Job
from twin.models.adapters import check_base, merge_adapter
from twin.models.bases.base_models import prepare_base_model
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import load_language_model
from twin.recipes import PairsSection
from twin.stores.files import FileStore
from twin.stores.sample_sets import SampleSets
from twin.training.candidates import KEPT, Candidates, draw_order, write_candidates
from twin.training.engine import Rows
from twin.training.plan import TrainingPlan
from twin.training.smaller.plan import DistillationPlan
from twin.training.tokens import IGNORED, prompt_tokens


def merged_twin(job: Job, files: FileStore, plan: TrainingPlan, scratch: Path) -> Path:
    """Base and adapter of the trained twin as the one model that packaging would make of them."""
    adapter = files.fetch_folder(plan.dpo_adapter, scratch / "fetched")
    check_base(adapter, plan.base)
    folder = scratch / "twin"
    merge_adapter(prepare_base_model(plan.base.name, job.settings), adapter, folder)
    return folder


def loaded(folder: Path) -> Any:
    """A causal model of transformers, in bf16."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype=torch.bfloat16
    )


def size_of(folder: Path) -> int:
    """Bytes of a model's weights."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def samples_to_learn(job: Job, files: FileStore, plan: TrainingPlan) -> list[InstructSample]:
    """Training samples that a student learns from: of each passage one first, then a second."""
    samples = SampleSets(files, job.recipe.name).instruct(plan.manifest.version, Split.TRAIN)
    most = job.recipe.training.distillation.max_samples
    return draw_order(samples, job.recipe.training.seed)[:most]


def twins_answers(
    job: Job,
    files: FileStore,
    plan: DistillationPlan,
    twin: Path,
    samples: Sequence[InstructSample],
) -> Candidates:
    """What the twin in the folder writes to the samples, group by group; what is known is read.

    Raises:
        BadDataError: it writes nothing to any of them.
    """
    written: Candidates = {}
    if files.exists(plan.answers):
        written = KEPT.validate_json(files.read_text(plan.answers))
    recipe, section = job.recipe, job.recipe.training.distillation
    knobs = PairsSection(
        candidates=1, max_tokens=section.max_tokens, temperature=section.temperature
    )
    missing = sum(sample.id not in written for sample in samples)
    if missing:
        model = load_language_model(twin, job.settings)
        with job.progress("writing answers", missing) as advance:
            for known, done in write_candidates(
                samples, model, recipe.author.name, knobs, recipe.training.seed, written,
                recipe.prompt,
            ):  # fmt: skip
                files.write_bytes(plan.answers, KEPT.dump_json(dict(known)))
                written = known
                advance(done)
    if not any(written[sample.id][0].text for sample in samples):
        raise BadDataError(
            f"the trained twin wrote nothing to any of {len(samples)} samples: train it otherwise "
            "(training.sft), or set training.distillation.texts to author"
        )
    return written


def rows_of_answers(
    job: Job, chat: ChatFormat, samples: Sequence[InstructSample], written: Candidates
) -> Rows:
    """Rows as `twin.training.tokens.instruct_rows` makes them, with the twin's answers.

    An answer that the budget of tokens has cut gets no end: nothing should teach a student to stop
    in mid-sentence.
    """
    recipe = job.recipe
    most = recipe.training.distillation.max_length
    rows = []
    for sample in samples:
        answer = written[sample.id][0]
        if not answer.text:
            job.skip_item(sample.id, "the twin wrote nothing to it")
            continue
        prompt = prompt_tokens(chat, recipe.author.name, sample, recipe.prompt)
        tokens = chat.unended_answer_ids if answer.is_cut else chat.answer_ids
        ids = tokens(answer.text)
        length = len(prompt) + len(ids)
        if length > most:
            job.skip_item(sample.id, f"{length} tokens, more than training.distillation.max_length")
            continue
        labels = [IGNORED] * len(prompt) + ids
        rows.append({"input_ids": prompt + ids, "labels": labels, "length": length})
    return rows
