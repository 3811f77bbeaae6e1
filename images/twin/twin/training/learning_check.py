"""What a training's curves say that nobody may look at: a loss that does not fall, and jumps."""

from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any

FEWEST_POINTS = 10
"""Of a curve, to say anything about it: a fifth of fewer is a single batch."""

JUMP = 10.0
"""Times the median of the gradients' norms before: between batches it varies by two or three."""

BEFORE = 20
"""Points that the median is taken of."""


def learning_faults(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong with the curves of a training, in words that say what to do; mostly nothing.

    Args:
        history: the trainer's log, with ``step``, ``loss`` and ``grad_norm``.
    """
    points = [entry for entry in history if "loss" in entry]
    faults = [_not_falling([float(point["loss"]) for point in points])]
    norms = [
        (int(point["step"]), float(point["grad_norm"])) for point in points if "grad_norm" in point
    ]
    faults.append(_jumps(norms))
    return [fault for fault in faults if fault is not None]


def _not_falling(losses: Sequence[float]) -> str | None:
    if len(losses) < FEWEST_POINTS:
        return None
    fifth = len(losses) // 5
    before, after = fmean(losses[:fifth]), fmean(losses[-fifth:])
    if after < before:
        return None
    return (
        f"the loss has not fallen: {before:.3f} in the first fifth of the steps, {after:.3f} in "
        "the last. Raise the learning rate if both are alike, lower it if the loss has risen, or "
        "train for longer"
    )


def _jumps(norms: Sequence[tuple[int, float]]) -> str | None:
    steps = [
        step
        for number, (step, norm) in enumerate(norms)
        if number >= FEWEST_POINTS
        and norm > JUMP * median(value for _, value in norms[max(0, number - BEFORE) : number])
    ]
    if not steps:
        return None
    named = ", ".join(map(str, steps[:5])) + (" and others" if len(steps) > 5 else "")
    return (
        f"the gradients explode in steps {named}: more than {JUMP:.0f} times as large as in the "
        "steps before. Lower the learning rate or max_gradient_norm, or warm up longer"
    )
