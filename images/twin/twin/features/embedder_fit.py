"""Training an embedder further, by sentence-transformers.

Of all passages of a step, a question's own is to be the nearest: those of the other questions, and
such as the search finds, are what it is told from (Henderson et al., "Efficient Natural Language
Response Suggestion for Smart Reply", arXiv:1705.00652, 2017). The step is cut into small batches
whose gradients are kept (Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory
Limited Setup", RepL4NLP 2021), so its size is not bound by memory.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from twin.features import fitting
from twin.features.reranker_questions import Candidates
from twin.recipes.embedder_tuning import EmbedderTuningSection


def fit(
    base: Path,
    candidates: Sequence[Candidates],
    knobs: EmbedderTuningSection,
    work: Path,
    advance: Callable[[int], None],
    threads: int | None = None,
) -> Path:
    """Train; returns the folder of the embedder, in safetensors.

    Args:
        base: folder of the embedder to begin with.
        candidates: what is trained on, all with as many passages.
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
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.base.sampler import BatchSamplers
    from sentence_transformers.sentence_transformer.losses import (
        CachedMultipleNegativesRankingLoss,
    )

    if made := fitting.made_before(work):
        return made
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(knobs.seed)
    model = SentenceTransformer(
        str(base), local_files_only=True, model_kwargs={"use_safetensors": True}
    )
    rows = [
        {"question": each.question}
        | {f"passage {place}": passage for place, passage in enumerate(each.passages)}
        for each in candidates
    ]
    trainer = SentenceTransformerTrainer(
        model=model,
        # No passage twice in a step: it would be told from itself.
        args=SentenceTransformerTrainingArguments(
            **fitting.arguments(knobs, work), batch_sampler=BatchSamplers.NO_DUPLICATES
        ),
        train_dataset=Dataset.from_list(rows),
        loss=CachedMultipleNegativesRankingLoss(model, mini_batch_size=knobs.mini_batch_size),
        callbacks=[fitting.progress(advance)],
    )
    return fitting.train(trainer, model, work, "features.tuning")
