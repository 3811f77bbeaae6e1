"""How well hands are told apart, on documents and authors that a measure has not seen.

Source: J. Hanley, B. McNeil, "The Meaning and Use of the Area under a Receiver Operating
Characteristic (ROC) Curve", Radiology 143(1), 1982: the area is the chance that a text of the one
kind scores higher than one of the other.
"""

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING

from twin.evaluation.resampling import Estimate, Statistic, estimate, share_of
from twin.evaluation.style_report import Separation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EVEN = 0.5


def separation(
    own: "NDArray[np.float64]",
    own_groups: Sequence[str],
    other: "NDArray[np.float64]",
    other_groups: Sequence[str],
) -> Separation:
    """What a measure's probabilities are worth.

    Args:
        own: of the author's pieces.
        own_groups: the group of documents of each.
        other: of pieces by others.
        other_groups: the author of each.
    """
    own_names, own_means = _means(own, own_groups)
    other_names, other_means = _means(other, other_groups)
    return Separation(
        pieces=len(own),
        other_pieces=len(other),
        auc=_area(own, own_groups, other, other_groups),
        auc_documents=_area(own_means, own_names, other_means, other_names),
        missed=estimate(share_of(own < EVEN), own_groups),
        mistaken=estimate(share_of(other >= EVEN), other_groups),
    )


def _area(
    own: "NDArray[np.float64]",
    own_groups: Sequence[str],
    other: "NDArray[np.float64]",
    other_groups: Sequence[str],
) -> Estimate:
    statistic = area_under_curve(own, other)
    # Groups of both sides are left out in turn; the two sides must not share a name.
    names = [f"own {group}" for group in own_groups]
    names += [f"other {group}" for group in other_groups]
    if min(len(set(own_groups)), len(set(other_groups))) < 2:
        import numpy as np

        value = float(statistic.of(np.ones(len(names))))
        return Estimate(value=value, low=0.0, high=1.0, error=inf, groups=len(set(names)))
    return estimate(statistic, names)


def area_under_curve(own: "NDArray[np.float64]", other: "NDArray[np.float64]") -> Statistic:
    """The chance that one of the first scores higher than one of the others; a tie is half."""
    import numpy as np

    wins = (own[:, None] > other[None, :]) + 0.5 * (own[:, None] == other[None, :])

    def of(weights: "NDArray[np.float64]") -> "NDArray[np.float64]":
        first, second = weights[..., : len(own)], weights[..., len(own) :]
        pairs = first.sum(axis=-1) * second.sum(axis=-1)
        return np.asarray(((first @ wins) * second).sum(axis=-1) / pairs)

    return Statistic(of, least=0.0, most=1.0)


def _means(
    values: "NDArray[np.float64]", groups: Sequence[str]
) -> "tuple[list[str], NDArray[np.float64]]":
    """The mean of each group."""
    import numpy as np

    names = sorted(set(groups))
    place = np.array([names.index(group) for group in groups])
    return names, np.bincount(place, values) / np.bincount(place)
