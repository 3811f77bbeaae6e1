"""People's verdicts on pairs of answers, of which the truth is known."""

import numpy as np


def verdicts(mean: float, seed: int, documents: int) -> list[list[float]]:
    """Verdicts (1, 1/2, 0) on a few pairs of each document.

    Each document has a liking of its own, by which all its pairs are judged; over documents it is
    ``mean``, and it spreads nearly as wide as it can.
    """
    draw = np.random.default_rng(seed)
    likings = draw.beta(2 * mean, 2 * (1 - mean), documents)
    return [
        draw.choice([0.0, 0.5, 1.0], size=draw.integers(1, 7), p=_chances(liking)).tolist()
        for liking in likings
    ]


def means(groups: list[list[float]]) -> list[float]:
    """The mean of each group."""
    return [sum(group) / len(group) for group in groups]


def _chances(liking: float) -> list[float]:
    tie = min(liking, 1 - liking) / 2
    return [1 - liking - tie / 2, tie, liking - tie / 2]
