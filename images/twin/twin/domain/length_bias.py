"""Whether length alone tells the chosen texts of preference pairs from the rejected ones.

A model that is trained on such pairs learns to write long, or short, and nothing else.
"""

from collections import Counter
from collections.abc import Sequence

FAIR = (0.4, 0.6)
"""Areas under the ROC curve between which length says next to nothing."""


def length_auc(lengths: Sequence[tuple[int, int]]) -> float | None:
    """Area under the ROC curve of length as a classifier of chosen against rejected texts.

    By ranks (Mann and Whitney, 1947), each chosen text against each rejected one. None without
    pairs.

    Args:
        lengths: of the chosen and of the rejected text of each pair.
    """
    if not lengths:
        return None
    both = [(chosen, 1) for chosen, _ in lengths] + [(rejected, 0) for _, rejected in lengths]
    tally = Counter(length for length, _ in both)
    middle: dict[int, float] = {}
    below = 0
    for length in sorted(tally):
        middle[length] = below + (tally[length] + 1) / 2
        below += tally[length]
    count = len(lengths)
    ranks = sum(middle[length] for length, is_chosen in both if is_chosen)
    return round((ranks - count * (count + 1) / 2) / count**2, 4)


def fairness(auc: float | None) -> int:
    """1 if an area says that chosen texts are longer than is fair, -1 if rejected are, else 0."""
    if auc is None or FAIR[0] <= auc <= FAIR[1]:
        return 0
    return 1 if auc > FAIR[1] else -1
