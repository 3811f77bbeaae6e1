"""Figures from memory and from passages apart: what a model knows, and what it makes of a text."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from twin.evaluation.held_out import HeldOut
from twin.evaluation.measures import MEASURES, Measured
from twin.evaluation.resampling import Estimate, Statistic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MEMORY = "from memory"
PASSAGES = "from passages"

Apart = dict[str, dict[str, dict[str, Estimate]]]
"""Way of asking to measure (by its label) to model to figure."""


def apart(
    measured: Mapping[str, Measured], held_out: HeldOut, sure: Callable[[Statistic], Estimate]
) -> Apart:
    """Each measure over the questions that are asked in one way; empty where all are.

    Args:
        measured: role to what was measured of that model.
        held_out: the questions; those without passages are asked from memory.
        sure: gives a statistic its interval.
    """
    shown = [bool(sample.context) for sample in held_out.samples]
    if all(shown) or not any(shown):
        return {}
    ways = {MEMORY: [not each for each in shown], PASSAGES: shown}
    return {way: _of(measured, chosen, sure) for way, chosen in ways.items()}


def among(statistic: Statistic, chosen: Sequence[bool]) -> Statistic | None:
    """The statistic over these samples alone; None where none of them counts for it."""
    import numpy as np

    mask = np.asarray(chosen, bool)
    counted = mask if statistic.counted is None else mask & statistic.counted
    if not counted.any():
        return None

    def of(weights: "NDArray[np.float64]") -> "NDArray[np.float64]":
        return statistic.of(weights * mask)

    return Statistic(of, counted=counted, least=statistic.least, most=statistic.most)


def _of(
    measured: Mapping[str, Measured],
    chosen: Sequence[bool],
    sure: Callable[[Statistic], Estimate],
) -> dict[str, dict[str, Estimate]]:
    made: dict[str, dict[str, Estimate]] = {}
    for measure in MEASURES:
        values = {
            role: sure(part)
            for role, model in measured.items()
            if (whole := model.statistics.get(measure.name)) is not None
            and (part := among(whole, chosen)) is not None
        }
        if values:
            made[measure.label] = values
    return made
