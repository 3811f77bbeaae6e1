"""The curves of a training as one picture: losses, learning rate, gradients, rewards."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twin.pages.canvas import BLUE, GREEN, ORANGE, new_canvas, panels_of, png_of

CURVES = "curves.png"

#: Panel to the names of its curves in the trainer's log, and what they are called.
_PANELS: Mapping[str, Mapping[str, str]] = {
    "loss": {"loss": "training", "eval_loss": "validation"},
    "learning rate": {"learning_rate": "learning rate"},
    "norm of the gradients": {"grad_norm": "norm"},
    "rewards": {
        "rewards/chosen": "chosen",
        "rewards/rejected": "rejected",
        "rewards/margins": "margin",
    },
}
_COLOURS = (BLUE, ORANGE, GREEN)


def draw_curves(folder: Path, history: Sequence[Mapping[str, Any]]) -> Path | None:
    """Draw what was logged of a training into ``folder``; None if nothing was.

    Args:
        folder: where `CURVES` is written.
        history: the trainer's log, of earlier attempts too.
    """
    panels = {
        title: {label: curve for name, label in names.items() if (curve := _curve(history, name))}
        for title, names in _PANELS.items()
    }
    panels = {title: curves for title, curves in panels.items() if curves}
    if not panels:
        return None
    canvas = new_canvas(3.6 * len(panels), 3.0)
    for (title, curves), axes in zip(panels.items(), panels_of(canvas, len(panels)), strict=True):
        for (label, points), colour in zip(curves.items(), _COLOURS, strict=False):
            marker = "o" if len(points) < 10 else None
            axes.plot(*zip(*points, strict=True), label=label, color=colour, marker=marker)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=8)
        if len(curves) > 1:
            axes.legend(fontsize=8)
    path = folder / CURVES
    path.write_bytes(png_of(canvas))
    return path


def _curve(history: Sequence[Mapping[str, Any]], name: str) -> list[tuple[int, float]]:
    return [(int(entry["step"]), float(entry[name])) for entry in history if name in entry]
