"""`twin training dpo`: the SFT adapter, moved from what its model writes to the author's answers.

Direct preference optimisation (Rafailov et al., 2023, arXiv:2305.18290).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.sample import PreferencePair
from twin.job import Job
from twin.models.adapters import check_base, record_base
from twin.models.bases.base_models import prepare_base_model
from twin.models.formats.chat_format import ChatFormat
from twin.stores.files import FileStore, open_files
from twin.stores.pair_sets import PairSetManifest, PairSets
from twin.stores.tracking import TrackingRun, tracking_run
from twin.training.engine import (
    Rows,
    Workshop,
    dpo_trainer,
    load_for_training,
    scratch_folder,
    train,
)
from twin.training.plan import TrainingPlan, plan_training
from twin.training.tokens import preference_rows


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
    )


def _pass_on(job: Job, files: FileStore, plan: TrainingPlan, why: str) -> None:
    cache = job.settings.home.resolve() / "adapters"
    files.publish_folder(files.fetch_folder(plan.sft_adapter, cache), plan.dpo_adapter)
    job.result.detail["dpo"] = f"{why}: the SFT adapter is passed on"


def _run_tracked(job: Job, files: FileStore, plan: TrainingPlan, pairs: _Pairs) -> None:
    tags = {"dataset_version": plan.manifest.version, "stage": "dpo", "run_id": job.run_id}
    with tracking_run(
        job.settings,
        experiment=job.recipe.name,
        name="dpo",
        version=plan.manifest.version,
        tags=tags,
        key=plan.dpo,
    ) as run:
        job.result.uris["mlflow_run"] = run.url
        job.result.ids["mlflow_run"] = run.id
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
        with scratch_folder(job.settings, f"dpo-{job.recipe.name}") as scratch:
            workshop = Workshop(files, scratch, f"{plan.dpo}/checkpoints")
            _train(job, plan, pairs.pairs, workshop, run)


def _train(
    job: Job,
    plan: TrainingPlan,
    pairs: Sequence[PreferencePair],
    workshop: Workshop,
    run: TrackingRun,
) -> None:
    from peft import PeftModel

    folder = prepare_base_model(plan.base.name, job.settings)
    base, chat = load_for_training(folder, job.settings, job.recipe.training)
    files = workshop.files
    rows = _rows(job, pairs, chat)
    if not rows:
        raise BadDataError(
            "no preference pair fits: raise training.dpo.max_length "
            f"({job.recipe.training.dpo.max_length}), or set training.dpo.enabled to false"
        )
    before = files.fetch_folder(plan.sft_adapter, workshop.scratch / "sft")
    check_base(before, plan.base)
    model = PeftModel.from_pretrained(base, before, is_trainable=True)
    scratch = workshop.scratch / "trainer"
    trainer = dpo_trainer(model, chat, job.recipe.training, scratch, rows)
    summary = train(trainer, job, run, workshop, "preference training (DPO)")
    job.counts.written = trainer.state.global_step
    job.result.detail.update(
        steps=trainer.state.global_step,
        train_loss=summary["train_loss"],
        train_seconds=summary["train_runtime"],
        **_last_rewards(trainer),
    )
    adapter = workshop.scratch / "adapter"
    trainer.model.save_pretrained(adapter, selected_adapters=["default"])
    record_base(adapter, plan.base)
    run.flush()  # before the adapter is published: after that, nobody would send them
    files.publish_folder(adapter, plan.dpo_adapter)
    files.remove(workshop.checkpoints)


def _last_rewards(trainer: Any) -> dict[str, float]:
    """How the policy judged the last pairs: margin of the chosen, and how often it won."""
    entries = [entry for entry in trainer.state.log_history if "rewards/margins" in entry]
    if not entries:
        return {}
    tail = entries[-10:]
    return {
        name: sum(entry[f"rewards/{name}"] for entry in tail) / len(tail)
        for name in ("margins", "accuracies")
    }


def _rows(job: Job, pairs: Sequence[PreferencePair], chat: ChatFormat) -> Rows:
    job.counts.read = len(pairs)

    def too_long(pair_id: str, length: int) -> None:
        job.skip_item(pair_id, f"{length} tokens, more than training.dpo.max_length")

    most = job.recipe.training.dpo.max_length
    recipe = job.recipe
    return preference_rows(chat, recipe.author.name, pairs, most, too_long, recipe.prompt)
