"""How surprised a model is by what the author wrote."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twin.evaluation.resampling import Statistic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Scored = tuple[float, int]
"""Sum of the log-probabilities (nats) of an answer's tokens, and their number."""


def perplexity(scored: Sequence[Scored]) -> Statistic:
    """exp of the mean negative log-probability per token, over all tokens of the samples."""
    import numpy as np

    likelihoods, tokens = _columns(scored)
    return Statistic(
        lambda weights: np.exp(-(weights @ likelihoods) / (weights @ tokens)), least=0.0
    )


def perplexity_gain(scored: Sequence[Scored], reference: Sequence[Scored]) -> Statistic:
    """Relative fall of perplexity against a reference: 0.2 means a fifth less, negative a rise.

    Both likelihoods are of the same texts and are divided by the first model's tokens. With one
    tokenizer that is ``1 - perplexity / reference perplexity``; with two it still compares like
    with like, which perplexities per token do not.
    """
    import numpy as np

    likelihoods, tokens = _columns(scored)
    others, _ = _columns(reference)
    return Statistic(
        lambda weights: 1.0 - np.exp((weights @ (others - likelihoods)) / (weights @ tokens)),
        most=1.0,
    )


def _columns(
    scored: Sequence[Scored],
) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    import numpy as np

    table = np.asarray(scored, dtype=np.float64)
    return table[:, 0], table[:, 1]
