"""Training a cross-encoder from an embedder's weights, by sentence-transformers.

Listwise: of a question's passages the one that answers is to score highest (Cao et al., "Learning
to Rank: From Pairwise Approach to Listwise Approach", ICML 2007).
"""

import math
import shutil
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from twin.domain.errors import BadConfigurationError, BadDataError
from twin.features.reranker_questions import Candidates
from twin.recipes.reranker import RerankerSection

NEEDED = ("sentence_transformers", "datasets", "accelerate")
CHECKPOINT = "checkpoint-*"

RIGHT = 10.0
"""Label of the passage that answers, beside 0 for others: ListNet learns the softmax of the labels,
which of 1 and 0 is hardly more than an even share, and of this nearly all."""


def check_installed() -> None:
    """Refuse to begin what could not be trained.

    Raises:
        BadConfigurationError: a library of training is not installed; names it.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise BadConfigurationError(
            f"training a reranker needs {', '.join(missing)}: run it in the image `train`, or "
            "install the extra `train` of the package"
        )


def fit(
    base: Path,
    candidates: Sequence[Candidates],
    knobs: RerankerSection,
    work: Path,
    advance: Callable[[int], None],
    threads: int | None = None,
) -> Path:
    """Train; returns the folder of the cross-encoder, in safetensors.

    Args:
        base: folder of the embedder.
        candidates: what is trained on.
        knobs: of the recipe.
        work: folder of this training alone. A training that was killed goes on from its last
            checkpoint there; it is emptied of them in the end.
        advance: told of every step.
        threads: that a processor runs it by; None: as torch likes.

    Raises:
        BadDataError: the training has diverged, which another attempt would too.
    """
    import torch
    from datasets import Dataset
    from sentence_transformers.cross_encoder import CrossEncoder, CrossEncoderTrainer
    from sentence_transformers.cross_encoder.losses import ListNetLoss

    made = work / "model"
    if (made / "config.json").is_file():
        return made
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(knobs.seed)  # the new head is drawn
    model = CrossEncoder(
        str(base), num_labels=1, max_length=knobs.max_length, local_files_only=True,
        model_kwargs={"use_safetensors": True},
    )  # fmt: skip
    rows = [
        {
            "query": each.question,
            "docs": list(each.passages),
            "labels": [RIGHT] + [0.0] * (len(each.passages) - 1),
        }
        for each in candidates
    ]
    trainer = CrossEncoderTrainer(
        model=model,
        args=_arguments(knobs, work),
        train_dataset=Dataset.from_list(rows),
        loss=ListNetLoss(model, mini_batch_size=knobs.batch_size * (knobs.negatives + 1)),
        callbacks=[_progress(advance)],
    )
    checkpoints = list((work / "trainer").glob(CHECKPOINT))
    trained = trainer.train(resume_from_checkpoint=True if checkpoints else None)
    if not math.isfinite(trained.training_loss):
        shutil.rmtree(work / "trainer", ignore_errors=True)  # or the next attempt goes on from it
        raise BadDataError(
            "training the reranker has diverged: lower features.reranker.learning_rate"
        )
    partial = work / "saving"
    shutil.rmtree(partial, ignore_errors=True)
    # A card would quote what it was trained on.
    model.save_pretrained(str(partial), create_model_card=False, safe_serialization=True)
    partial.rename(made)
    shutil.rmtree(work / "trainer", ignore_errors=True)
    return made


def steps_of(questions: int, knobs: RerankerSection) -> int:
    """Steps that a training of so many questions takes."""
    return max(1, round(knobs.epochs * -(-questions // knobs.batch_size)))


def _arguments(knobs: RerankerSection, work: Path) -> Any:
    from sentence_transformers.cross_encoder import CrossEncoderTrainingArguments

    return CrossEncoderTrainingArguments(
        output_dir=str(work / "trainer"),
        num_train_epochs=knobs.epochs,
        per_device_train_batch_size=knobs.batch_size,
        learning_rate=knobs.learning_rate,
        warmup_steps=0.1,  # a share
        save_strategy="steps",
        save_steps=knobs.save_steps,
        save_total_limit=1,
        logging_steps=10,
        report_to="none",
        disable_tqdm=True,
        seed=knobs.seed,
        data_seed=knobs.seed,
    )


def _progress(advance: Callable[[int], None]) -> Any:
    from transformers import TrainerCallback

    class Progress(TrainerCallback):  # type: ignore[misc]
        """Tells each step."""

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
            advance(1)

    return Progress()
