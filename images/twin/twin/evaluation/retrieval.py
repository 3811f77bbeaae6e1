"""Whether the index finds the passage that a test instruction was made from."""

from collections.abc import Callable, Sequence

from twin.evaluation.resampling import Statistic, share_of

Search = Callable[[str, int], Sequence[str]]
"""From a question and a number of passages to chunk ids, best first."""


def ranks(questions: Sequence[str], chunk_ids: Sequence[str], search: Search, k: int) -> list[int]:
    """Rank (from 1) of each question's chunk among the first ``k`` found; 0 if not among them."""
    found = []
    for question, chunk_id in zip(questions, chunk_ids, strict=True):
        hits = list(search(question, k))
        found.append(hits.index(chunk_id) + 1 if chunk_id in hits else 0)
    return found


def recall(found: Sequence[int]) -> Statistic:
    """Share of questions whose passage was found (recall@k with one relevant passage)."""
    return share_of([float(rank > 0) for rank in found])


def reciprocal_rank(found: Sequence[int]) -> Statistic:
    """Mean of 1/rank, with 0 for a passage not found (MRR@k)."""
    return share_of([1.0 / rank if rank else 0.0 for rank in found])
