"""What trainings by sentence-transformers share: resuming, progress, no half work."""

import math
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from twin.domain.errors import BadConfigurationError, BadDataError

NEEDED = ("sentence_transformers", "datasets", "accelerate")
CHECKPOINT = "checkpoint-*"


class Knobs(Protocol):
    """What the recipe says of such a training."""

    @property
    def epochs(self) -> float:
        """Times that every question is seen."""

    @property
    def batch_size(self) -> int:
        """Questions of a step."""

    @property
    def learning_rate(self) -> float:
        """At its highest."""

    @property
    def save_steps(self) -> int:
        """Steps between checkpoints."""

    @property
    def seed(self) -> int:
        """Of everything that is drawn."""


def check_installed(what: str) -> None:
    """Refuse to begin what could not be trained.

    Args:
        what: is trained: "a reranker".

    Raises:
        BadConfigurationError: a library of training is not installed; names it.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise BadConfigurationError(
            f"training {what} needs {', '.join(missing)}: run it in the image `train`, or "
            "install the extra `train` of the package"
        )


def steps_of(questions: int, knobs: Knobs) -> int:
    """Steps that a training of so many questions takes."""
    return max(1, round(knobs.epochs * -(-questions // knobs.batch_size)))


def made_before(work: Path) -> Path | None:
    """The model that was trained in this folder before a kill, if it was saved whole."""
    made = work / "model"
    return made if (made / "config.json").is_file() else None


def arguments(knobs: Knobs, work: Path) -> dict[str, Any]:
    """Those of a trainer that are the same whatever is trained."""
    return {
        "output_dir": str(work / "trainer"),
        "num_train_epochs": knobs.epochs,
        "per_device_train_batch_size": knobs.batch_size,
        "learning_rate": knobs.learning_rate,
        "warmup_steps": 0.1,  # a share
        "save_strategy": "steps",
        "save_steps": knobs.save_steps,
        "save_total_limit": 1,
        "logging_steps": 10,
        "report_to": "none",
        "disable_tqdm": True,
        "seed": knobs.seed,
        "data_seed": knobs.seed,
    }


def train(trainer: Any, model: Any, work: Path, what: str) -> Path:
    """Run a trainer to its end, from its last checkpoint if it has one; returns the model's folder.

    Args:
        trainer: of sentence-transformers.
        model: that it trains.
        work: folder of this training alone; it is emptied of checkpoints in the end.
        what: section of the recipe that has its knobs.

    Raises:
        BadDataError: the training has diverged, which another attempt would too.
    """
    checkpoints = list((work / "trainer").glob(CHECKPOINT))
    trained = trainer.train(resume_from_checkpoint=True if checkpoints else None)
    if not math.isfinite(trained.training_loss):
        shutil.rmtree(work / "trainer", ignore_errors=True)  # or the next attempt goes on from it
        raise BadDataError(f"the training has diverged: lower {what}.learning_rate")
    partial = work / "saving"
    shutil.rmtree(partial, ignore_errors=True)
    # A card would quote what it was trained on.
    model.save_pretrained(str(partial), create_model_card=False, safe_serialization=True)
    made = work / "model"
    partial.rename(made)
    shutil.rmtree(work / "trainer", ignore_errors=True)
    return made


def progress(advance: Callable[[int], None]) -> Any:
    """A callback of a trainer that tells each step."""
    from transformers import TrainerCallback

    class Progress(TrainerCallback):  # type: ignore[misc]
        """Tells each step."""

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
            advance(1)

    return Progress()
