"""`twin training dpo`: what SFT made, moved from what its model writes to the author's answers.

By direct preference optimisation (Rafailov et al., 2023, arXiv:2305.18290) or another method that
learns from the same pairs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import structlog

from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.sample import PreferencePair
from twin.job import Job
from twin.models.adapters import check_base, record_base
from twin.models.bases.base_models import prepare_base_model
from twin.models.formats.chat_format import ChatFormat
from twin.recipes import DpoSection
from twin.stores.files import FileStore, open_files
from twin.stores.pair_sets import PairSetManifest, PairSets
from twin.stores.tracking import TrackingRun
from twin.training.engine import Rows, load_for_training, save_trained
from twin.training.loop import Workshop, train
from twin.training.plan import TrainingPlan, plan_training
from twin.training.preference_trainers import dpo_trainer
from twin.training.processes import training_run
from twin.training.scratch import scratch_folder
from twin.training.tokens import preference_rows

if TYPE_CHECKING:
    from twin.training.preference_measures import PairScores

log = structlog.get_logger("twin")


def run_dpo(job: Job) -> None:
    """Train on the preference pairs unless that was done from the same inputs.

    With ``training.dpo.enabled: false``, or without a pair to learn from, the SFT adapter is what
    comes out.

    Raises:
        NothingToDo: it was, or DPO is switched off and the adapter is passed on already.
        BadDataError: there is no SFT adapter or no set of pairs yet, or no pair that fits.
        TryAgainError: MLflow did not answer. What was trained is kept in checkpoints.
    """
    files = open_files(job.settings)
    plan = plan_training(job.recipe, job.settings, files)
    job.result.ids["dataset_version"] = plan.manifest.version
    job.result.uris["adapter"] = files.uri(plan.dpo_adapter)
    if files.is_published(plan.dpo_adapter):
        raise NothingToDo(f"the pairs of samples {plan.manifest.version} are trained on already")
    plan.check_sft(files)
    if not job.recipe.training.dpo.enabled:
        _pass_on(job, files, plan, "switched off in the recipe")
        return
    job.result.ids["pairs_version"] = plan.pairs
    pairs = _pairs(job, files, plan)
    if pairs.manifest.pairs:
        _run_tracked(job, files, plan, pairs)
    else:
        _pass_on(job, files, plan, "there is no pair to learn from")


@dataclass(frozen=True)
class _Pairs:
    """What is trained on."""

    manifest: PairSetManifest
    uri: str
    pairs: list[PreferencePair]
    held_out: list[PreferencePair]


def _pairs(job: Job, files: FileStore, plan: TrainingPlan) -> _Pairs:
    sets, samples = PairSets(files, job.recipe.name), plan.manifest.version
    if not sets.is_published(samples, plan.pairs):
        raise BadDataError(
            f"no preference pairs by the SFT model of samples {samples}: "
            f"run `twin training pairs --recipe {job.recipe.name}`"
        )
    return _Pairs(
        sets.manifest(samples, plan.pairs),
        sets.uri(samples, plan.pairs),
        sets.pairs(samples, plan.pairs),
        sets.held_out(samples, plan.pairs),
    )


def _pass_on(job: Job, files: FileStore, plan: TrainingPlan, why: str) -> None:
    cache = job.settings.home.resolve() / "adapters"
    files.publish_folder(files.fetch_folder(plan.sft_adapter, cache), plan.dpo_adapter)
    job.result.detail["dpo"] = f"{why}: the SFT adapter is passed on"


def _run_tracked(job: Job, files: FileStore, plan: TrainingPlan, pairs: _Pairs) -> None:
    with (
        scratch_folder(job.settings, f"dpo-{job.recipe.name}") as scratch,
        training_run(job, plan, "dpo", plan.dpo) as run,
    ):
        plan.log_samples(run, files)
        run.log_dataset(f"{job.recipe.name} pairs", plan.pairs, pairs.uri, "training")
        dpo = job.recipe.training.dpo
        run.log_params(
            {
                "base_model": plan.base.name,
                "dataset_version": plan.manifest.version,
                "recipe_digest": job.recipe.digest(),
                "code_version": job.settings.code_version,
                "pairs_version": plan.pairs,
                "pairs": pairs.manifest.pairs,
                "pairs_length_auc": pairs.manifest.length_auc,
                "pairs_likeness": pairs.manifest.likeness,
                **{f"dpo.{key}": value for key, value in dpo.model_dump(exclude={"pairs"}).items()},
                **{f"dpo.pairs.{key}": value for key, value in dpo.pairs.model_dump().items()},
            }
        )
        workshop = Workshop(files, scratch, f"{plan.dpo}/checkpoints")
        _train(job, plan, pairs, workshop, run)


def _train(
    job: Job, plan: TrainingPlan, pairs: _Pairs, workshop: Workshop, run: TrackingRun
) -> None:
    from twin.training.preference_measures import length_measures, score_pairs

    knobs = job.recipe.training.dpo
    folder = prepare_base_model(plan.base.name, job.settings)
    chat = ChatFormat.shared(folder)
    rows = _rows(job, pairs.pairs, chat)
    if not rows:
        raise BadDataError(
            "no preference pair fits: raise training.dpo.max_length "
            f"({knobs.max_length}), or set training.dpo.enabled to false"
        )
    held_out = _rows(job, pairs.held_out, chat)
    before = workshop.files.fetch_folder(plan.sft_adapter, workshop.scratch / "sft")
    check_base(before, plan.base)
    model, reference = _load(job, folder, before)
    trainer = dpo_trainer(
        model, chat, job.recipe.training, workshop.scratch / "trainer", rows, reference
    )
    scores = score_pairs(trainer.model, held_out, knobs.batch_size)
    limit = _limit_drift(trainer, knobs)
    kept = knobs.checkpoints_kept
    summary = train(trainer, job, run, workshop, "preference training", kept=kept)
    job.counts.written = trainer.state.global_step
    job.result.detail.update(
        steps=trainer.state.global_step,
        train_loss=summary["train_loss"],
        train_seconds=summary["train_runtime"],
        lengths=length_measures(rows),
        **_last_rewards(trainer),
        **limit(),
    )
    if held_out:
        _measure(job, run, trainer, held_out, scores)
    adapter = workshop.scratch / "adapter"
    save_trained(trainer, adapter)
    record_base(adapter, plan.base)
    run.flush()  # before the adapter is published: after that, nobody would send them
    workshop.publish(adapter, plan.dpo_adapter)


def _load(job: Job, folder: Path, before: Path) -> tuple[Any, Any]:
    """What is trained further, and its reference where that is a model of its own.

    With ``training.dpo.method: orpo`` there is no reference.
    """
    training = job.recipe.training
    if training.method != "full":
        from peft import PeftModel

        base, _ = load_for_training(folder, job.settings, training)
        return PeftModel.from_pretrained(base, before, is_trainable=True), None
    model, _ = load_for_training(folder, job.settings, training, before)
    if training.dpo.method == "orpo":
        return model, None
    frozen = training.model_copy(update={"method": "lora"})  # read only, so in bf16
    reference, _ = load_for_training(folder, job.settings, frozen, before)
    return model, reference.requires_grad_(False)


def _limit_drift(trainer: Any, knobs: DpoSection) -> Callable[[], dict[str, object]]:
    """Have the training stop at the recipe's drift; what is returned says how far it has come."""
    from twin.training.preference_measures import DriftLimit, drift_of

    if knobs.method == "orpo":  # which has no reference to drift from
        return dict
    trainer.add_callback(DriftLimit(knobs.beta, knobs.max_drift))

    def reached() -> dict[str, object]:
        drift = drift_of(trainer.state.log_history, knobs.beta)
        if drift is None:
            return {}
        if knobs.max_drift is None or drift <= knobs.max_drift:
            return {"drift": drift}
        warning = (
            f"stopped after {trainer.state.global_step} steps: the model finds its own former "
            f"texts {drift:.1f} nats less likely, more than training.dpo.max_drift "
            f"({knobs.max_drift}). Lower training.dpo.learning_rate, or raise beta"
        )
        log.warning("drift", reason=warning)
        return {"drift": drift, "stopped": warning}

    return reached


def _measure(
    job: Job, run: TrackingRun, trainer: Any, held_out: Rows, before: "PairScores"
) -> None:
    """What the training does to pairs of test samples, for the result and MLflow."""
    from twin.training.preference_measures import held_out_measures, score_pairs

    knobs = job.recipe.training.dpo
    after = score_pairs(trainer.model, held_out, knobs.batch_size)
    measures = held_out_measures(held_out, before, after, knobs.beta)
    job.result.detail["held_out"] = measures
    run.log_metrics({f"held_out.{name}": value for name, value in measures.items()})


def _last_rewards(trainer: Any) -> dict[str, float]:
    """How the policy judged the last pairs: margin of the chosen, and how often it won."""
    found = {}
    for name in ("margins", "accuracies"):
        logged = [e[f"rewards/{name}"] for e in trainer.state.log_history if f"rewards/{name}" in e]
        if logged:
            found[name] = fmean(logged[-10:])
    return found


def _rows(job: Job, pairs: Sequence[PreferencePair], chat: ChatFormat) -> Rows:
    job.counts.read += len(pairs)

    def too_long(pair_id: str, length: int) -> None:
        job.skip_item(pair_id, f"{length} tokens, more than training.dpo.max_length")

    most = job.recipe.training.dpo.max_length
    recipe = job.recipe
    return preference_rows(chat, recipe.author.name, pairs, most, too_long, recipe.prompt)
