"""One list out of several: by reciprocal rank, or by weighted scores."""

from collections.abc import Sequence

from twin.stores.index import RRF_K, Hit
from twin.stores.index_terms import sparse_passage, sparse_question


def by_reciprocal_rank(lists: Sequence[Sequence[Hit]]) -> list[Hit]:
    """Each chunk scores the sum of 1 / (60 + rank) over the lists that it is in.

    Cormack, Clarke and Büttcher, SIGIR 2009. Scores of different lists are never compared.
    """
    shares = [[1 / (RRF_K + rank) for rank in range(1, len(hits) + 1)] for hits in lists]
    return _summed(lists, shares)


def by_weighted_scores(
    lists: Sequence[Sequence[Hit]], weights: Sequence[float], lowest: Sequence[float | None]
) -> list[Hit]:
    """Each chunk scores the weighted sum of its scores, each list's scaled to 0..1.

    Args:
        lists: best first.
        weights: one for each list.
        lowest: for each list the score that becomes 0, as for a chunk that is not in it; None
            for the list's own lowest, so that nothing is lost at its edge.

    In a list whose scores are all its lowest, each becomes 1.
    """
    shares = [
        [weight * share for share in _scaled([hit.score for hit in hits], low)]
        for hits, weight, low in zip(lists, weights, lowest, strict=True)
    ]
    return _summed(lists, shares)


def held(question: str, hits: Sequence[Hit]) -> float:
    """Share of the question's terms that the best of BM25's hits holds; 0 if there is none."""
    terms = set(sparse_question(question).indices)
    if not terms or not hits:
        return 0.0
    return len(terms.intersection(sparse_passage(hits[0].chunk).indices)) / len(terms)


def _scaled(scores: Sequence[float], lowest: float | None) -> list[float]:
    low = min(scores, default=0.0) if lowest is None else lowest
    high = max(scores, default=0.0)
    return [(score - low) / (high - low) if high > low else 1.0 for score in scores]


def _summed(lists: Sequence[Sequence[Hit]], shares: Sequence[Sequence[float]]) -> list[Hit]:
    found: dict[str, Hit] = {}
    for hits, own in zip(lists, shares, strict=True):
        for hit, share in zip(hits, own, strict=True):
            known = found.get(hit.chunk.id)
            found[hit.chunk.id] = Hit(
                hit.chunk,
                share + (known.score if known else 0.0),
                hit.vector or (known.vector if known else None),
            )
    return sorted(found.values(), key=lambda hit: (-hit.score, hit.chunk.id))
