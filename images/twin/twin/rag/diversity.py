"""Maximal marginal relevance: passages that are relevant and not alike.

Source: Carbonell and Goldstein, "The use of MMR", SIGIR 1998.
"""

from collections.abc import Sequence

from twin.stores.index import Hit


def diverse(hits: Sequence[Hit], k: int, relevance_weight: float) -> list[Hit]:
    """``k`` of the hits, chosen one by one, each for its relevance less its likeness to those
    chosen before.

    Args:
        hits: best first, with their vectors, which have unit length.
        k: how many.
        relevance_weight: 1 leaves the order as it is; 0 looks at likeness alone, after the first.

    The hits keep their scores, so these need no longer fall.
    """
    if relevance_weight >= 1 or len(hits) < 2:
        return list(hits[:k])
    import numpy as np

    scores = np.array([hit.score for hit in hits])
    spread = float(scores.max() - scores.min())
    relevance = (scores - scores.min()) / spread if spread else np.ones(len(hits))
    vectors = np.array([hit.vector for hit in hits], dtype=np.float64)
    likeness = vectors @ vectors.T
    chosen = [0]
    while len(chosen) < min(k, len(hits)):
        nearest = likeness[:, chosen].max(axis=1)
        gain = relevance_weight * relevance - (1 - relevance_weight) * nearest
        gain[chosen] = -np.inf
        chosen.append(int(gain.argmax()))
    return [hits[place] for place in chosen]
