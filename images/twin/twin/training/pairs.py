"""`twin training pairs`: the author's answers against what the model of the first stage writes.

The pairs are made between SFT and DPO, so that what is rejected is what the very model writes that
is to be improved: pairs by another model teach it to avoid what it would never write.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import structlog

from twin.domain.document import NAMESPACE
from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.length_bias import length_auc
from twin.domain.sample import InstructSample, PreferencePair, Split
from twin.job import Job
from twin.models.adapters import check_base, merge_adapter
from twin.models.bases.base_models import prepare_base_model
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import LanguageModel, load_language_model
from twin.stores.files import FileStore, open_files
from twin.stores.pair_sets import PairSetManifest, PairSets
from twin.stores.sample_sets import SampleSets
from twin.training.candidates import (
    KEPT,
    Candidates,
    choose_samples,
    draw_order,
    sampling,
    write_candidates,
)
from twin.training.pair_card import render_pair_card
from twin.training.pair_choice import Choice, Reason, auc_of, balanced, choice_of
from twin.training.pair_judge import worse_only
from twin.training.pair_reviews import review
from twin.training.plan import TrainingPlan, plan_training
from twin.training.scratch import scratch_folder

log = structlog.get_logger("twin")


def run_pairs(job: Job) -> None:
    """Make the pairs unless they were made from the same inputs.

    A set may turn out empty, where all that the model writes is right or lengths cannot be
    balanced: there is then nothing to learn from preferences, and DPO passes the adapter on.

    Raises:
        NothingToDo: they were, or DPO is switched off.
        BadDataError: there is no SFT adapter yet, no sample fits, or the model writes nothing.
    """
    if not job.recipe.training.dpo.enabled:
        raise NothingToDo("training.dpo.enabled is false: no pairs are needed")
    files = open_files(job.settings)
    plan = plan_training(job.recipe, job.settings, files)
    sets, samples = PairSets(files, job.recipe.name), plan.manifest.version
    job.result.ids |= {"dataset_version": samples, "pairs_version": plan.pairs}
    job.result.uris["pairs"] = sets.uri(samples, plan.pairs)
    if sets.is_published(samples, plan.pairs):
        if sets.newest(samples) != plan.pairs:
            sets.make_newest(samples, plan.pairs)
        raise NothingToDo(f"the pairs of samples {samples} by this model are made already")
    plan.check_sft(files)
    if not sets.is_published(samples, plan.made):
        _make(job, files, plan)
    if plan.pairs != plan.made:
        _review(job, files, plan)
    _report(job, sets.manifest(samples, plan.pairs))


def _make(job: Job, files: FileStore, plan: TrainingPlan) -> None:
    base = prepare_base_model(plan.base.name, job.settings)
    passed_over: Counter[str] = Counter()
    chosen = _chosen(job, files, plan, base, passed_over)
    held_out = _held_out(job, files, plan, base)
    written = _written(job, files, plan, base, [*chosen, *held_out])
    dropped: Counter[Reason] = Counter()
    choices = _choices(job, chosen, written, dropped)
    if (judge := job.recipe.judge) is not None:
        choices, judged = worse_only(job, judge, files, plan.replies, choices)
        dropped.update(judged)
    choices, unbalanced = balanced(choices)
    dropped.update(unbalanced)
    texts = sum(len(written[sample.id]) for sample in chosen)
    if dropped[Reason.EMPTY] == texts:
        raise BadDataError(
            f"the model after SFT wrote nothing to any of {len(chosen)} samples: train it "
            "otherwise (training.sft), or set training.dpo.enabled to false"
        )
    pairs = [_pair(job, choice) for choice in choices]
    measured = [_pair(job, choice) for choice in _choices(job, held_out, written, Counter())]
    manifest = PairSetManifest(
        version=plan.made,
        recipe=job.recipe.name,
        author_name=job.recipe.author.name,
        dataset_version=plan.manifest.version,
        adapter=plan.sft_adapter,
        base_model=plan.base.name,
        rejected_by=_writer(job),
        judge=judge.model if judge is not None else None,
        samples=len(chosen),
        passed_over=dict(sorted(passed_over.items())),
        candidates=texts,
        dropped={reason.value: dropped[reason] for reason in Reason if dropped[reason]},
        held_out=len(measured),
        pairs=len(pairs),
        length_auc=auc_of(choices),
        likeness=round(fmean(c.rejected.likeness for c in choices), 4) if choices else None,
    )
    card = render_pair_card(manifest, pairs)
    PairSets(files, job.recipe.name).publish(manifest, pairs, card, measured)
    for unfinished in (plan.candidates, plan.replies):
        files.remove(unfinished)


def _review(job: Job, files: FileStore, plan: TrainingPlan) -> None:
    """Publish what people's verdicts leave of the model's pairs, with callers' candidates."""
    sets = PairSets(files, job.recipe.name)
    samples = plan.manifest.version
    made = sets.pairs(samples, plan.made)
    reviewed = review(made, plan.reviews, plan.manifest.documents)
    job.counts.read = len(made) + len(plan.reviews.wanted)
    likenesses = [pair.likeness for pair in reviewed.pairs if pair.likeness is not None]
    manifest = sets.manifest(samples, plan.made).model_copy(
        update={
            "version": plan.pairs,
            "made": plan.made,
            "reviewed": dict(reviewed.outcome.most_common()),
            "feedback": sum(1 for pair in reviewed.pairs if pair.answer_id),
            "pairs": len(reviewed.pairs),
            "length_auc": length_auc([(len(p.chosen), len(p.rejected)) for p in reviewed.pairs]),
            "likeness": round(fmean(likenesses), 4) if likenesses else None,
        }
    )
    card = render_pair_card(manifest, reviewed.pairs)
    sets.publish(manifest, reviewed.pairs, card, sets.held_out(samples, plan.made))


def _chosen(
    job: Job, files: FileStore, plan: TrainingPlan, base: Path, passed_over: Counter[str]
) -> list[InstructSample]:
    samples = SampleSets(files, job.recipe.name).instruct(plan.manifest.version, Split.TRAIN)
    training = job.recipe.training
    dpo = training.dpo
    chosen = choose_samples(
        draw_order(samples, training.seed),
        ChatFormat.load(base),
        job.recipe.author.name,
        dpo.pairs,
        dpo.max_length,
        lambda reason: passed_over.update([reason]),
        job.recipe.prompt,
    )
    job.counts.read = len(chosen)
    if not chosen:
        why = "; ".join(f"{reason}: {count}" for reason, count in passed_over.items())
        raise BadDataError(
            f"no training sample fits preference pairs ({why or 'there are none'}): raise "
            f"training.dpo.pairs.max_tokens ({dpo.pairs.max_tokens}) or training.dpo.max_length "
            f"({dpo.max_length}), or set training.dpo.enabled to false"
        )
    return chosen


def _held_out(job: Job, files: FileStore, plan: TrainingPlan, base: Path) -> list[InstructSample]:
    """Test samples that are written to as well: their pairs measure, and teach nothing."""
    dpo = job.recipe.training.dpo
    if not dpo.pairs.max_held_out:
        return []
    samples = SampleSets(files, job.recipe.name).instruct(plan.manifest.version, Split.TEST)
    knobs = dpo.pairs.model_copy(update={"max_pairs": dpo.pairs.max_held_out})
    return choose_samples(
        draw_order(samples, job.recipe.training.seed),
        ChatFormat.load(base),
        job.recipe.author.name,
        knobs,
        dpo.max_length,
        lambda _reason: None,
    )


def _written(
    job: Job, files: FileStore, plan: TrainingPlan, base: Path, chosen: Sequence[InstructSample]
) -> Candidates:
    """What the model writes to the samples; it is loaded only if something is to be written."""
    written: Candidates = {}
    if files.exists(plan.candidates):
        written = KEPT.validate_json(files.read_text(plan.candidates))
    missing = sum(sample.id not in written for sample in chosen)
    if not missing:
        return written
    training, author = job.recipe.training, job.recipe.author.name
    with scratch_folder(job.settings, f"pairs-{job.recipe.name}") as scratch:
        model = _fine_tuned(job, files, plan, base, scratch)
        with job.progress("writing candidates", missing) as advance:
            for known, done in write_candidates(
                chosen, model, author, training.dpo.pairs, training.seed, written,
                job.recipe.prompt,
            ):  # fmt: skip
                files.write_bytes(plan.candidates, KEPT.dump_json(dict(known)))
                written = known
                advance(done)
    return written


def _fine_tuned(
    job: Job, files: FileStore, plan: TrainingPlan, base: Path, scratch: Path
) -> LanguageModel:
    """Base and SFT adapter as the one model that packaging would make of them."""
    adapter = files.fetch_folder(plan.sft_adapter, scratch / "sft")
    check_base(adapter, plan.base)
    merge_adapter(base, adapter, scratch / "model")
    return load_language_model(scratch / "model", job.settings)


def _choices(
    job: Job, chosen: Sequence[InstructSample], written: Candidates, dropped: Counter[Reason]
) -> list[Choice]:
    choices = []
    for sample in chosen:
        choice, faults = choice_of(sample, written[sample.id], job.recipe.retrieval.dont_know)
        dropped.update(faults)
        if choice is None:
            why = ", ".join(f"{count} {reason}" for reason, count in Counter(faults).items())
            job.skip_item(sample.id, f"nothing to reject: of the model's texts {why}")
        else:
            choices.append(choice)
    return choices


def _pair(job: Job, choice: Choice) -> PreferencePair:
    sample, rejected = choice.sample, choice.rejected
    return PreferencePair(
        id=str(uuid.uuid5(NAMESPACE, f"{sample.id}\n{rejected.text}")),
        split=sample.split,
        instruction=sample.instruction,
        context=sample.context,
        history=sample.history,
        chosen=sample.answer,
        rejected=rejected.text,
        rejected_by=_writer(job),
        document_id=sample.document_id,
        revision=sample.revision,
        chunk_id=sample.chunk_id,
        sample_id=sample.id,
        likeness=rejected.likeness,
    )


def _writer(job: Job) -> str:
    training = job.recipe.training
    params = sampling(training.dpo.pairs, training.seed)
    return (
        f"{training.base_model} after SFT, at most {params.max_new_tokens} tokens at temperature "
        f"{params.temperature}, top-p {params.top_p}, repetition penalty "
        f"{params.repetition_penalty} on its own words, seed {params.seed}, prompt "
        f"{job.recipe.prompt.label}"
    )


def _report(job: Job, manifest: PairSetManifest) -> None:
    job.counts.written = manifest.pairs
    job.result.detail.update(
        candidates=manifest.candidates,
        dropped=manifest.dropped,
        passed_over=manifest.passed_over,
        length_auc=manifest.length_auc,
        likeness=manifest.likeness,
        reviewed=manifest.reviewed,
        feedback=manifest.feedback,
        held_out=manifest.held_out,
    )
    log.info(
        "preference pairs",
        pairs=manifest.pairs,
        samples=manifest.samples,
        length_auc=manifest.length_auc,
        likeness=manifest.likeness,
        dropped=manifest.dropped,
    )
    if not manifest.pairs:
        warning = "no pair is left: preference training will pass the SFT adapter on"
        job.result.detail["warning"] = warning
        log.warning("no pairs", reason=warning)
