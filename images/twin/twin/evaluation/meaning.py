"""Shared meaning: cosine of the embeddings of a model's answer and of the author's passage."""

from collections.abc import Sequence

from twin.models.embedder import Embedder


def cosine_similarities(
    embedder: Embedder, answers: Sequence[str], references: Sequence[str]
) -> list[float]:
    """Cosine of each answer with its reference; an empty answer means nothing and scores 0."""
    import numpy as np

    vectors = np.asarray(embedder.encode([*answers, *references]))
    first, second = vectors[: len(answers)], vectors[len(answers) :]
    cosines = (first * second).sum(axis=1)
    return [
        float(cosine) if answer.strip() else 0.0
        for cosine, answer in zip(cosines, answers, strict=True)
    ]
