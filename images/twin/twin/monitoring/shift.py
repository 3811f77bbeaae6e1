"""Do two windows differ? Permutational analysis of variance over units that hang together.

Each unit (a caller, or a conversation) is one point in a window, one observation of it. So whoever
asks a thousand times weighs as much as whoever asks once. A unit's mean would weigh as much, but a
mean of many spreads less than a mean of few: where units have many observations in one window and
few in the other, means are not exchangeable, and a test of them finds differences where there are
none. The windows' mean points are compared, and the labels of points are dealt anew many times: how
often chance alone makes as large a difference is the p-value, which assumes nothing about the
points' distribution. A unit that is in both windows makes the test more careful, not less.

Source: M. J. Anderson, "A new method for non-parametric multivariate analysis of variance",
Austral Ecology 26, 2001.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: The smallest p-value is one in so many: below any `alpha` that makes sense here.
PERMUTATIONS = 4_000
SEED = 13
#: Labels that are dealt at a time: bounds memory where there are thousands of units.
_AT_ONCE = 100
#: Once so many were as large, the windows are alike and no more labels are dealt (J. Besag,
#: P. Clifford, "Sequential Monte Carlo p-values", Biometrika 78, 1991).
_ENOUGH = 20

Point = Sequence[float]
"""One observation of a unit."""


@dataclass(frozen=True)
class Shift:
    """How far the second window is from the first.

    Attributes:
        p_value: chance of so large a difference if there were none.
        share: of the differences among units that lies between the windows, 0 to 1, as if both had
            equally many units.
        before: units of the first window.
        after: units of the second.
    """

    p_value: float
    share: float
    before: int
    after: int


def shift(before: Sequence[Point], after: Sequence[Point]) -> Shift:
    """Compare two windows.

    Args:
        before: one observation of each unit of the first; at least one.
        after: of each of the second, of the same length; at least one.
    """
    import numpy as np

    first, second = (np.asarray(points, dtype=np.float64) for points in (before, after))
    points = np.vstack([first, second])
    centred = points - points.mean(axis=0)
    products = centred @ centred.T
    labels = np.array([False] * len(first) + [True] * len(second))
    return Shift(
        p_value=_p_value(products, labels),
        share=_share(first, second, float(_distances(products, labels[None, :])[0])),
        before=len(first),
        after=len(second),
    )


def _p_value(products: "NDArray[np.float64]", labels: "NDArray[np.bool_]") -> float:
    import numpy as np

    # Rounding must not tell equal differences apart.
    seen = _distances(products, labels[None, :])[0] * (1 - 1e-9)
    drawing = np.random.default_rng(SEED)
    larger = dealt = 0
    while dealt < PERMUTATIONS and larger < _ENOUGH:
        some = drawing.permuted(np.tile(labels, (_AT_ONCE, 1)), axis=1)
        larger += int(np.sum(_distances(products, some) >= seen))
        dealt += _AT_ONCE
    return (1 + larger) / (1 + dealt)


def _distances(
    products: "NDArray[np.float64]", labels: "NDArray[np.bool_]"
) -> "NDArray[np.float64]":
    """Squared distance of the two means for each row of labels."""
    import numpy as np

    second = labels.sum(axis=1, keepdims=True)
    weights = np.where(labels, 1 / second, -1 / (labels.shape[1] - second))
    found: NDArray[np.float64] = np.einsum("ij,ij->i", weights @ products, weights)
    return found


def _share(first: "NDArray[np.float64]", second: "NDArray[np.float64]", distance: float) -> float:
    """What lies between the windows, less what chance would put there."""
    free = len(first) + len(second) - 2
    if free < 1:
        return 0.0
    within = sum(float(((each - each.mean(axis=0)) ** 2).sum()) for each in (first, second)) / free
    between = max(distance - within * (1 / len(first) + 1 / len(second)), 0.0) / 4
    return between / (within + between) if between else 0.0
