"""Training a cross-encoder from an embedder's weights, by sentence-transformers.

Listwise: of a question's passages the one that answers is to score highest (Cao et al., "Learning
to Rank: From Pairwise Approach to Listwise Approach", ICML 2007).
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from twin.features import fitting
from twin.features.reranker_questions import Candidates
from twin.recipes.reranker import RerankerSection

RIGHT = 10.0
"""Label of the passage that answers, beside 0 for others: ListNet learns the softmax of the labels,
which of 1 and 0 is hardly more than an even share, and of this nearly all."""


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
    from sentence_transformers.cross_encoder import (
        CrossEncoder,
        CrossEncoderTrainer,
        CrossEncoderTrainingArguments,
    )
    from sentence_transformers.cross_encoder.losses import ListNetLoss

    if made := fitting.made_before(work):
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
        args=CrossEncoderTrainingArguments(**fitting.arguments(knobs, work)),
        train_dataset=Dataset.from_list(rows),
        loss=ListNetLoss(model, mini_batch_size=knobs.batch_size * (knobs.negatives + 1)),
        callbacks=[fitting.progress(advance)],
    )
    return fitting.train(trainer, model, work, "features.reranker")
