"""One way to run either trainer: from the newest checkpoint, and ready to be killed at any time."""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import structlog

from twin.domain.errors import TryAgainError
from twin.job import Job
from twin.models.gpus import is_first
from twin.stores.files import FileStore
from twin.stores.tracking import TrackingRun
from twin.training.interruption import Interrupted, on_sigterm
from twin.training.learning_check import learning_faults
from twin.training.patience import patiently

if TYPE_CHECKING:
    from twin.training.generations import Generations

log = structlog.get_logger("twin")

SECONDS_TO_LEAVE = 90.0
"""That an interrupted training waits for the file store: half a minute less than the profiles with
a GPU give its pod (``terminationGracePeriodSeconds``)."""


@dataclass(frozen=True)
class Workshop:
    """Where a training works: its scratch folder here, its checkpoints in the store."""

    files: FileStore
    scratch: Path
    checkpoints: str

    def apart(self, checkpoints: str) -> "Workshop":
        """A workshop of another stage of the same job, with a scratch folder of its own."""
        scratch = self.scratch / "apart"
        scratch.mkdir(exist_ok=True)
        return Workshop(self.files, scratch, checkpoints)

    def publish(self, adapter: Path, target: str) -> None:
        """Publish what has been trained, however long the store takes, and drop the checkpoints.

        Raises:
            TryAgainError: the store was away for many minutes.
        """
        from accelerate import PartialState

        if is_first():
            patiently(lambda: self.files.publish_folder(adapter, target))
            patiently(lambda: self.files.remove(self.checkpoints))
        PartialState().wait_for_everyone()


def train(
    trainer: Any,
    job: Job,
    run: TrackingRun,
    workshop: Workshop,
    what: str,
    *,
    kept: int,
    prefix: str = "",
    generations: "Generations | None" = None,
) -> dict[str, float]:
    """Train to the end, from the newest checkpoint if there is one; returns the trainer's summary.

    The last step is saved as a checkpoint too: should MLflow not take the metrics afterwards, the
    next attempt has nothing to train. What is wrong with the curves is said in the job's result.

    Args:
        trainer: of `twin.training.engine`.
        job: whose progress and result it is.
        run: takes the metrics.
        workshop: where checkpoints are.
        what: the stage in words, for the progress.
        kept: checkpoints that the store keeps.
        prefix: of the metrics' names, where a run has those of several stages.
        generations: writes at each checkpoint; not where processes share out the weights.

    Raises:
        BadDataError: loss or gradients are no numbers; the last checkpoint stays.
        TryAgainError: SIGTERM has come and the last step is saved, or the store was away for long.
    """
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    from twin.training.callbacks import Reporting
    from twin.training.checkpoints import Checkpoints
    from twin.training.throughput import meter_of

    held = workshop.scratch / "publishing"
    checkpoints = Checkpoints(workshop.files, workshop.checkpoints, held, kept)
    newest = checkpoints.newest(workshop.scratch / "fetched")
    for noisy in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(noisy)
    _write_generations(trainer, generations, newest)
    trainer.add_callback(checkpoints)
    if newest is not None:
        job.result.detail["resumed_from"] = newest.name
        _go_on_from(trainer, checkpoints, newest, workshop.scratch / "fetched")
    run.log_text(trainer.args.to_json_string(), f"{prefix}trainer-arguments.json")
    total = _total_steps(trainer)
    with job.progress(what, total) as advance:
        reporting = Reporting(run, advance, meter_of(trainer, job.settings), prefix)
        trainer.add_callback(reporting)
        if newest is not None and _take_over_finished(trainer, newest, total):
            reporting.catch_up(trainer.state)
            seconds = 0.0
        else:
            seconds = _train(trainer, checkpoints, newest, generations)
    _sum_up(trainer.state.log_history, job, run, workshop, what, prefix)
    return {"train_loss": _mean_loss(trainer.state), "train_runtime": seconds}


def _write_generations(
    trainer: Any, generations: "Generations | None", newest: Path | None
) -> None:
    """Before the checkpoints are published: what is written lies in them too."""
    if generations is None or trainer.is_fsdp_enabled:
        return
    trainer.add_callback(generations)
    if newest is not None:
        generations.resume(newest)


def _sum_up(
    history: Any, job: Job, run: TrackingRun, workshop: Workshop, what: str, prefix: str
) -> None:
    """What the curves say, in the result and as a picture of the run; and what it has cost."""
    from twin.training.curves import draw_curves

    faults = learning_faults(history)
    if faults:
        job.result.detail["warnings"] = faults
    for fault in faults:
        log.warning(what, warning=fault)
    if (curves := draw_curves(workshop.scratch, history)) is not None:
        run.log_artifact(curves, prefix.rstrip(".") or None)
    costs = [entry["cost"] for entry in history if "cost" in entry]
    if costs:
        job.result.detail[f"{prefix}cost"] = round(costs[-1], 4)


def _train(
    trainer: Any, checkpoints: Any, newest: Path | None, generations: "Generations | None"
) -> float:
    """Train; returns the seconds that it took."""
    with on_sigterm(trainer.interruption):
        try:
            summary = trainer.train(resume_from_checkpoint=str(newest) if newest else None)
        except Interrupted:
            if trainer.save_last_step():
                if generations is not None:
                    step = f"checkpoint-{trainer.state.global_step}"
                    generations.keep(Path(trainer.args.output_dir) / step)
                checkpoints.on_save(trainer.args, trainer.state, trainer.control)
        if trainer.interruption.requested:
            checkpoints.finish(SECONDS_TO_LEAVE)
            raise TryAgainError(
                f"told to end (SIGTERM) after step {trainer.state.global_step}, which is saved: "
                "the next attempt goes on there"
            )
    checkpoints.finish()
    return float(summary.metrics["train_runtime"])


def _go_on_from(trainer: Any, checkpoints: Any, newest: Path, cache: Path) -> None:
    """Restore what the trainer's own resumption leaves out: best checkpoint and count of tokens."""
    state = _state_of(newest)
    if state.best_global_step:
        checkpoints.fetch_best(state.best_global_step, Path(trainer.args.output_dir), cache)
    counts = [entry["num_tokens"] for entry in state.log_history if "num_tokens" in entry]
    if counts:
        trainer._total_train_tokens = counts[-1]


def _take_over_finished(trainer: Any, checkpoint: Path, total: int) -> bool:
    """Load what a training ended with; the trainer would do one more step if it were resumed."""
    state = _state_of(checkpoint)
    control = state.stateful_callbacks.get("TrainerControl", {}).get("args", {})
    if state.global_step < total and not control.get("should_training_stop"):
        return False
    trainer._load_from_checkpoint(str(checkpoint))
    trainer.state = state
    if trainer.args.load_best_model_at_end and state.best_global_step:
        best = Path(trainer.args.output_dir) / f"checkpoint-{state.best_global_step}"
        trainer.state.best_model_checkpoint = str(best)
        trainer._load_best_model()
    return True


def _state_of(checkpoint: Path) -> Any:
    from transformers import TrainerState

    return TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))


def _mean_loss(state: Any) -> float:
    """Of all steps, an earlier attempt's too."""
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    return fmean(losses) if losses else 0.0


def _total_steps(trainer: Any) -> int:
    *_, steps = trainer.set_initial_training_values(trainer.args, trainer.get_train_dataloader())
    return int(steps)
