"""`twin training sweep`: other values of fine-tuning, tried one after the other by Optuna.

A trial is a fine-tuning with values of its own; its validation loss is what is compared. Trials are
kept as runs of MLflow below the sweep's, and in Optuna's journal in the file store. A sweep that is
killed goes on with the trial that it was at, from its last checkpoint.
"""

import gc
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
import yaml

from twin.domain.errors import BadConfigurationError, BadDataError, NothingToDo, TryAgainError
from twin.job import Job
from twin.models.gpus import LAUNCHED
from twin.rag.prompt import PROMPT_VERSION
from twin.recipes import ChoicesSection, Recipe, TrainedSection, TrainingSection
from twin.settings import inherited_environment
from twin.stores.files import FileStore, open_files
from twin.stores.tracking import TrackingRun, tracking_run
from twin.training.loop import Workshop
from twin.training.plan import TRAINER, TrainingPlan, plan_training
from twin.training.scratch import scratch_folder
from twin.training.sft import fit, validation_loss

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

PARENT_TAG = "mlflow.parentRunId"
"""MLflow's own: its UI shows runs with it below the run that it names."""

KILLED = "killed"
"""Attribute of a study: trials that an attempt ended in, whose values are tried again."""

GAVE_UP = "gave up"
"""Attribute of a trial that ended in good order and is gone on with: SIGTERM, or a store away."""

MOST_KILLS = 2
"""Of trials with the same values: one may be another's fault, two are want of memory."""

BEST = "best.yaml"

log = structlog.get_logger("twin")


def run_sweep(job: Job, trials: int, output: Path | None = None) -> None:
    """Try values of ``training.sweep.space`` until so many trials have ended.

    The best are written as a fragment of a recipe: to the sweep's folder in the file store, to its
    MLflow run, and to ``output``.

    Raises:
        NothingToDo: so many have ended in earlier attempts.
        BadDataError: there are no samples to train on or to validate on, or no trial has come to
            its end.
        BadConfigurationError: this is one of several processes.
        TryAgainError: MLflow or the file store did not answer, or SIGTERM has come. What was tried
            is kept.
    """
    if LAUNCHED in inherited_environment():
        raise BadConfigurationError(
            "a sweep trains in one process: start it without accelerate launch or torchrun"
        )
    files = open_files(job.settings)
    plan = plan_training(job.recipe, job.settings, files)
    folder = f"training/{job.recipe.name}/sweeps/{_key(job.recipe, plan)}"
    job.result.ids["dataset_version"] = plan.manifest.version
    job.result.uris["sweep"] = files.uri(folder)
    with scratch_folder(job.settings, f"sweep-{job.recipe.name}") as scratch:
        sweep = _Sweep(job, files, plan, folder, scratch)
        left = trials - sweep.ended
        if left <= 0:
            sweep.report(output)
            raise NothingToDo(f"{sweep.ended} trials have ended already: ask for more of them")
        with tracking_run(
            job.settings,
            experiment=job.recipe.name,
            name="sweep",
            version=plan.manifest.version,
            tags={"stage": "sweep", "run_id": job.run_id},
            key=folder,
        ) as run:
            job.result.uris["mlflow_run"] = run.url
            job.result.ids["mlflow_run"] = run.id
            run.log_text(_space(job.recipe.training), "space.yaml")
            with job.progress("sweep", left) as advance:
                while sweep.ended < trials:
                    sweep.try_next(run)
                    job.counts.written += 1
                    advance(1)
            sweep.report(output)
            sweep.show(run)


class _Sweep:
    """Optuna's study of one sweep, kept in the file store, and what tries its values."""

    def __init__(
        self, job: Job, files: FileStore, plan: TrainingPlan, folder: str, scratch: Path
    ) -> None:
        import optuna
        from optuna.storages.journal import JournalFileBackend, JournalStorage

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._job, self._files, self._plan = job, files, plan
        self._folder, self._scratch = folder, scratch
        self._journal = scratch / "journal.log"
        if files.exists(f"{folder}/journal.log"):
            self._journal.write_bytes(files.read_bytes(f"{folder}/journal.log"))
        knobs = job.recipe.training.sweep
        self._study: Study = optuna.create_study(
            study_name=folder,
            storage=JournalStorage(JournalFileBackend(str(self._journal))),
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=knobs.startup_trials),
        )
        # A sampler that begins anew with the same seed would draw the same values again.
        self._study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=knobs.startup_trials,
            seed=job.recipe.training.seed + len(self._study.trials),
        )
        self._try_killed_again()
        if not self._study.trials and (own := _own_values(job.recipe.training)) is not None:
            self._study.enqueue_trial(own)  # what the others have to be better than

    @property
    def ended(self) -> int:
        """Trials that have come to an end: with a loss, stopped early, or failed."""
        return len(self._ended)

    @property
    def _killed(self) -> list[int]:
        return list(self._study.user_attrs.get(KILLED, ()))

    @property
    def _ended(self) -> "list[FrozenTrial]":
        killed = self._killed
        return [
            trial
            for trial in self._study.trials
            if trial.state.is_finished() and trial.number not in killed
        ]

    def try_next(self, parent: TrackingRun) -> None:
        """Train with the next values, and keep how it ended."""
        import optuna

        trial = self._study.ask()
        values = {
            key: _suggest(trial, key, knob)
            for key, knob in self._job.recipe.training.sweep.space.items()
        }
        self._keep()
        log.info("trial", number=trial.number, **values)
        folder = f"{self._folder}/trials/{_hash(values)}"
        try:
            loss = self._train(trial, values, folder, parent)
        except optuna.TrialPruned:
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        except TryAgainError:
            trial.set_user_attr(GAVE_UP, True)
            self._keep()
            raise
        except BadDataError as error:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            self._job.fail_item(f"trial {trial.number}: {values}", str(error))
        else:
            self._study.tell(trial, loss)
        self._keep()
        self._files.remove(folder)

    def report(self, output: Path | None) -> None:
        """Put into result and files what has come of it.

        Raises:
            BadDataError: no trial has come to its end.
        """
        done = [trial for trial in self._ended if trial.state.name == "COMPLETE"]
        names = [trial.state.name for trial in self._ended]
        self._job.result.detail.update(
            trials=len(names), pruned=names.count("PRUNED"), failed=names.count("FAIL")
        )
        if not done:
            raise BadDataError(
                "no trial has come to its end: the result's failures say why; narrow "
                "training.sweep.space, or ask for more trials"
            )
        best = self._study.best_trial
        self._job.result.detail.update(best=best.params, validation_loss=best.value)
        fragment = recipe_fragment(best.params)
        self._job.result.uris["best"] = self._files.write_text(f"{self._folder}/{BEST}", fragment)
        if output is not None:
            output.write_text(fragment, encoding="utf-8")

    def show(self, run: TrackingRun) -> None:
        """The best values and all trials among the run's artifacts."""
        keys = list(self._job.recipe.training.sweep.space)
        rows = [
            [trial.number, trial.state.name, trial.value, *(trial.params.get(key) for key in keys)]
            for trial in self._ended
        ]
        columns = ["trial", "ended", "validation_loss", *keys]
        run.log_table(json.dumps({"columns": columns, "data": rows}), "trials.json")
        best = self._study.best_trial
        run.log_text(recipe_fragment(best.params), BEST)
        run.log_params({f"best.{key}": value for key, value in best.params.items()})
        run.log_metrics({"validation_loss": float(best.value or 0.0)})

    def _train(
        self, trial: "Trial", values: Mapping[str, Any], folder: str, parent: TrackingRun
    ) -> float:
        import optuna

        training = self._job.recipe.training.with_values(values)
        recipe = self._job.recipe.model_copy(update={"training": training})
        # With a result of its own: what one trial leaves out says nothing of the sweep.
        own = self._job.result.model_copy(deep=True, update={"detail": {}})
        job = replace(self._job, recipe=recipe, result=own)
        scratch = self._scratch / f"trial-{trial.number}"
        scratch.mkdir()
        plan = replace(self._plan, sft=folder)
        workshop = Workshop(self._files, scratch, f"{folder}/checkpoints")
        tags = {
            PARENT_TAG: parent.id,
            "stage": "trial",
            "trial": str(trial.number),
            "dataset_version": plan.manifest.version,
        }
        pruned = False
        with tracking_run(
            job.settings,
            experiment=recipe.name,
            name="trial",
            version=plan.manifest.version,
            tags=tags,
            key=folder,
        ) as run:
            run.log_params({**values, "base_model": plan.base.name})
            try:
                fitted = fit(job, self._files, plan, workshop, run, [_look_on(trial)])
            except optuna.TrialPruned:
                run.set_tags({"pruned": "true"})
                pruned = True
            else:
                if not fitted.validated:
                    raise BadDataError(
                        "a sweep compares validation losses, and no sample of the validation "
                        "split fits: see datasets.validation_share and training.sft.max_length"
                    )
                loss = validation_loss(fitted.trainer)
                run.log_metrics({"validation_loss": loss}, fitted.trainer.state.global_step)
                del fitted
        if "resumed_from" in own.detail:
            self._job.result.detail["resumed_from"] = own.detail["resumed_from"]
        gc.collect()  # before the next model is loaded
        if pruned:
            raise optuna.TrialPruned
        return loss

    def _try_killed_again(self) -> None:
        """Values of a trial that an earlier attempt was at are the next ones, or have failed."""
        import optuna

        for trial in self._study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
            killed = [*self._killed, trial.number]
            self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            if self._kills(killed, trial.params) < MOST_KILLS:
                self._study.set_user_attr(KILLED, killed)
                self._study.enqueue_trial(trial.params)
                continue
            self._job.fail_item(
                f"trial {trial.number}: {trial.params}",
                f"killed {MOST_KILLS} times with these values, as where memory does not suffice",
            )
            self._files.remove(f"{self._folder}/trials/{_hash(trial.params)}")
            self._keep()

    def _kills(self, ended: Collection[int], values: Mapping[str, Any]) -> int:
        """How often a process was killed with these values."""
        return sum(
            trial.number in ended and trial.params == values and GAVE_UP not in trial.user_attrs
            for trial in self._study.trials
        )

    def _keep(self) -> None:
        self._files.write_bytes(f"{self._folder}/journal.log", self._journal.read_bytes())


def _look_on(trial: "Trial") -> Any:
    """A callback that tells Optuna each validation loss, and ends a trial that is no good."""
    import optuna
    from transformers import TrainerCallback

    class Pruning(TrainerCallback):
        """Of one trial."""

        def on_train_begin(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
            for entry in state.log_history:  # of an earlier attempt
                if "eval_loss" in entry:
                    trial.report(float(entry["eval_loss"]), int(entry["step"]))

        def on_evaluate(
            self, _args: Any, state: Any, _control: Any, metrics: Any = None, **_kwargs: Any
        ) -> None:
            if state.global_step < state.max_steps:
                trial.report(float(metrics["eval_loss"]), state.global_step)
                if trial.should_prune():
                    raise optuna.TrialPruned

    return Pruning()


def _suggest(trial: "Trial", key: str, knob: Any) -> Any:
    if isinstance(knob, ChoicesSection):
        return trial.suggest_categorical(key, list(knob.choices))
    if knob.low.is_integer() and knob.high.is_integer():
        return trial.suggest_int(key, int(knob.low), int(knob.high), log=knob.log)
    return trial.suggest_float(key, knob.low, knob.high, log=knob.log)


def _own_values(training: TrainingSection) -> dict[str, Any] | None:
    """The recipe's own values of the space; None if they lie outside of it."""
    flat = _flat(training.model_dump(mode="json"))
    own = {key: flat[key] for key in training.sweep.space}
    for key, knob in training.sweep.space.items():
        if isinstance(knob, ChoicesSection):
            if own[key] not in knob.choices:
                return None
        elif not knob.low <= own[key] <= knob.high:
            return None
    return own


def recipe_fragment(values: Mapping[str, Any]) -> str:
    """Values by keys such as ``sft.learning_rate`` as YAML that can be put into a recipe."""
    training: dict[str, Any] = {}
    for key, value in sorted(values.items()):
        *sections, last = key.split(".")
        place = training
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    return yaml.safe_dump({"training": training})


def _space(training: TrainingSection) -> str:
    return yaml.safe_dump(training.sweep.model_dump(mode="json"))


def _key(recipe: Recipe, plan: TrainingPlan) -> str:
    """Of whatever the losses of a sweep depend on, but the values that it tries."""
    training = recipe.training
    decisive = set(TrainedSection.model_fields) - {"dpo", "generations"}
    own = training.model_dump(mode="json", include=decisive)
    fixed = {key: value for key, value in _flat(own).items() if key not in training.sweep.space}
    code = [TRAINER, PROMPT_VERSION]
    told = [recipe.author.name, recipe.prompt.digest]
    inputs = [code, plan.manifest.version, plan.base.digest, told, training.sweep.space, fixed]
    return _hash(inputs)


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        inner = isinstance(value, dict)
        found |= _flat(value, f"{before}{key}.") if inner else {f"{before}{key}": value}
    return found


def _hash(value: Any) -> str:
    def plain(part: Any) -> Any:
        return part.model_dump(mode="json")

    text = json.dumps(value, sort_keys=True, default=plain)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
