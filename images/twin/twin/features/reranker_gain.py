"""What a trained reranker gains over the search alone, by groups of questions about a document."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from twin.rag.ranking import ndcg
from twin.rag.rerank import mixed
from twin.stores.trained_models import Gain

K = 10
#: Of its scores, beside the search's; 0 would be the search alone.
WEIGHTS = (0.25, 0.5, 0.75, 1.0)
#: Groups from which their spread says something.
LEAST_GROUPS = 8


@dataclass(frozen=True)
class Scored:
    """What was found for a question, best first: ids, and the scores of search and reranker."""

    document: str
    relevant: frozenset[str]
    ids: tuple[str, ...]
    found: tuple[float, ...]
    scores: tuple[float, ...]

    def ndcg(self, weight: float) -> float:
        """nDCG@10 where the reranker's scores count for so much; 0: the search alone."""
        both = self.found if weight == 0 else mixed(self.found, self.scores, weight)
        order = sorted(range(len(self.ids)), key=lambda place: -both[place])
        return ndcg([self.ids[place] for place in order], self.relevant, K)


def best_weight(scored: Sequence[Scored]) -> float:
    """The weight by which these questions are answered best; of equals the least."""
    return max(WEIGHTS, key=lambda weight: (sum(each.ndcg(weight) for each in scored), -weight))


def gain_of(scored: Sequence[Scored], weight: float) -> Gain | None:
    """The gain over the search alone; None without a question."""
    return paired_gain((each.document, each.ndcg(0), each.ndcg(weight)) for each in scored)


def paired_gain(measured: Iterable[tuple[str, float, float]]) -> Gain | None:
    """The gain of questions that were measured twice; None without a question.

    Questions about one document hang together, so the interval is over documents: the mean of
    their mean gains, and Student's t for their spread.

    Args:
        measured: of each question its document, and nDCG@10 before and after.
    """
    pairs = list(measured)
    if not pairs:
        return None
    groups: dict[str, list[float]] = defaultdict(list)
    for document, before, after in pairs:
        groups[document].append(after - before)
    means = [statistics.fmean(gains) for gains in groups.values()]
    interval: dict[str, float] = {}
    if len(means) >= LEAST_GROUPS:
        middle = statistics.fmean(means)
        reach = _t(len(means) - 1) * statistics.stdev(means) / len(means) ** 0.5
        interval = {"low": middle - reach, "high": middle + reach}
    return Gain(
        questions=len(pairs),
        documents=len(means),
        before=statistics.fmean(before for _, before, _ in pairs),
        after=statistics.fmean(after for _, _, after in pairs),
        **interval,
    )


def _t(freedom: int) -> float:
    """Student's t that 2.5 % lie above, to a hundredth (Cornish and Fisher's expansion)."""
    z = statistics.NormalDist().inv_cdf(0.975)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, start=1))
