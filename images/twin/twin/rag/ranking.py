"""How good an order of passages is, by those that answer the question."""

import math
from collections.abc import Collection, Sequence


def ndcg(found: Sequence[str], relevant: Collection[str], k: int) -> float:
    """nDCG@k with binary relevance: 1 when all that is relevant stands first.

    Source: K. Järvelin and J. Kekäläinen, "Cumulated gain-based evaluation of IR techniques",
    ACM TOIS 2002.
    """
    gained = sum(
        1 / math.log2(place + 1) for place, id_ in enumerate(found[:k], 1) if id_ in relevant
    )
    best = sum(1 / math.log2(place + 1) for place in range(1, min(k, len(relevant)) + 1))
    return gained / best


def first_relevant(found: Sequence[str], relevant: Collection[str], k: int) -> int:
    """Rank (from 1) of the first relevant one among the first ``k``; 0 if there is none."""
    return next((place for place, id_ in enumerate(found[:k], 1) if id_ in relevant), 0)
