"""The report's plots, as PNG files."""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from twin.evaluation.checks import Check
from twin.evaluation.report import Figure
from twin.evaluation.resampling import CONFIDENCE, Estimate
from twin.pages.canvas import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    RED,
    new_canvas,
    panels_of,
    png_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {
    "candidate": BLUE,
    "base": GREY,
    "champion": ORANGE,
    "reference": PINK,
    "author": GREEN,
}

#: Panels of figures beside one another.
_IN_A_ROW = 6


def draw_plots(
    folder: Path,
    figures: Sequence[Figure],
    checks: Sequence[Check],
    scored: Mapping[str, Sequence[tuple[float, int]]],
) -> tuple[str, ...]:
    """Draw all plots into ``folder``; returns their names.

    ``scored`` maps candidate and base to their log-likelihood and tokens, passage by passage.
    """
    _draw_figures(folder / "figures.png", figures)
    _draw_gains(folder / "gains.png", checks)
    _draw_passages(folder / "passages.png", scored)
    return ("figures.png", "gains.png", "passages.png")


def _draw_figures(path: Path, figures: Sequence[Figure]) -> None:
    """One panel for each measure that has a better end: each model's value with its interval."""
    figures = [figure for figure in figures if figure.better != "neither"]
    rows = -(-len(figures) // _IN_A_ROW)
    canvas = new_canvas(2.6 * min(len(figures), _IN_A_ROW), 3.2 * rows)
    for place, (figure, axes) in enumerate(
        zip(figures, panels_of(canvas, len(figures), _IN_A_ROW), strict=True)
    ):
        roles = list(figure.values)
        for position, role in enumerate(roles):
            _interval(axes, position, figure.values[role], _COLOURS[role])
        axes.set_xticks(range(len(roles)), roles, rotation=30, ha="right")
        axes.set_xlim(-0.6, len(roles) - 0.4)
        axes.set_title(f"{figure.label}\n({figure.better} is better)", fontsize=8)
        axes.tick_params(labelsize=8)
        if place % _IN_A_ROW == 0:
            axes.set_ylabel(f"value, {CONFIDENCE:.0%} interval", fontsize=8)
    path.write_bytes(png_of(canvas))


def _draw_gains(path: Path, checks: Sequence[Check]) -> None:
    """A forest plot: every comparison of the gate with the limit for its lower end."""
    shown = [check for check in checks if check.low is not None and _is_gain(check)]
    canvas = new_canvas(7.5, 1.2 + 0.42 * len(shown))
    (axes,) = panels_of(canvas, 1)
    for position, check in enumerate(reversed(shown)):
        colour = GREEN if check.passed else RED
        ends = [check.low or 0.0, check.high or 0.0]
        if all(map(isfinite, ends)):  # of one group of documents there is no interval
            axes.plot(ends, [position, position], color=colour, linewidth=2)
        axes.plot(check.measured, position, "o", color=colour)
        axes.plot(check.threshold, position, "|", color="black", markersize=14)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(shown)), [check.name for check in reversed(shown)], fontsize=8)
    axes.set_xlabel(
        "gain (relative for perplexity); black: the least for the lower end", fontsize=8
    )
    path.write_bytes(png_of(canvas))


def _is_gain(check: Check) -> bool:
    return "against" in check.name and not check.name.startswith("judge ")


def _draw_passages(path: Path, scored: Mapping[str, Sequence[tuple[float, int]]]) -> None:
    """Perplexity of each passage under base (across) and candidate (up)."""
    import numpy as np

    canvas = new_canvas(4.5, 4.2)
    (axes,) = panels_of(canvas, 1)
    base, candidate = (
        [float(np.exp(-likelihood / tokens)) for likelihood, tokens in scored[role]]
        for role in ("base", "candidate")
    )
    # A broken model's perplexities may be no numbers, which have no place on a scale.
    points = [pair for pair in zip(base, candidate, strict=True) if all(map(isfinite, pair))]
    if points:
        ends = [min(map(min, points)), max(map(max, points))]
        axes.plot(ends, ends, color=GREY, linewidth=0.8)
        axes.plot(
            *zip(*points, strict=True), "o", color=_COLOURS["candidate"], markersize=4, alpha=0.7
        )
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.set_xlabel("perplexity of a passage, base", fontsize=8)
    axes.set_ylabel("perplexity of a passage, candidate", fontsize=8)
    path.write_bytes(png_of(canvas))


def _interval(axes: "Axes", position: int, estimate: Estimate, colour: str) -> None:
    if isfinite(estimate.low) and isfinite(estimate.high):
        axes.plot([position, position], [estimate.low, estimate.high], color=colour, linewidth=2)
    axes.plot(position, estimate.value, "o", color=colour)
