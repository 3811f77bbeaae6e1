"""The report's plots, as PNG files."""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from twin.evaluation.decoding import Row
from twin.evaluation.gate import Check
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
    png_of,
    row_of_axes,
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


def draw_decoding(rows: Sequence[Row]) -> bytes:
    """Quality (up) and diversity (across) of each setting; faster ones are larger."""
    canvas = new_canvas(6.5, 4.5)
    (axes,) = row_of_axes(canvas, 1)
    fastest = max(row.tokens_per_second for row in rows)
    for row in rows:
        size = 20 + 120 * row.tokens_per_second / fastest
        place = (row.diversity.value, row.quality.value)
        axes.scatter(*place, s=size, color=BLUE, alpha=0.6)
        axes.annotate(row.name, place, xytext=(6, 4), textcoords="offset points", fontsize=7)
    axes.set_xlabel("diversity: share of different word pairs", fontsize=8)
    axes.set_ylabel("quality", fontsize=8)
    axes.tick_params(labelsize=8)
    return png_of(canvas)


def _draw_figures(path: Path, figures: Sequence[Figure]) -> None:
    """One panel for each measure that has a better end: each model's value with its interval."""
    figures = [figure for figure in figures if figure.better != "neither"]
    canvas = new_canvas(2.6 * len(figures), 3.2)
    for place, (figure, axes) in enumerate(
        zip(figures, row_of_axes(canvas, len(figures)), strict=True)
    ):
        roles = list(figure.values)
        for position, role in enumerate(roles):
            _interval(axes, position, figure.values[role], _COLOURS[role])
        axes.set_xticks(range(len(roles)), roles, rotation=30, ha="right")
        axes.set_xlim(-0.6, len(roles) - 0.4)
        axes.set_title(f"{figure.label}\n({figure.better} is better)", fontsize=8)
        axes.tick_params(labelsize=8)
        if place == 0:
            axes.set_ylabel(f"value, {CONFIDENCE:.0%} interval", fontsize=8)
    path.write_bytes(png_of(canvas))


def _draw_gains(path: Path, checks: Sequence[Check]) -> None:
    """A forest plot: every comparison of the gate with the limit for its lower end."""
    shown = [check for check in checks if check.low is not None and "against" in check.name]
    canvas = new_canvas(7.5, 1.2 + 0.42 * len(shown))
    (axes,) = row_of_axes(canvas, 1)
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


def _draw_passages(path: Path, scored: Mapping[str, Sequence[tuple[float, int]]]) -> None:
    """Perplexity of each passage under base (across) and candidate (up)."""
    import numpy as np

    canvas = new_canvas(4.5, 4.2)
    (axes,) = row_of_axes(canvas, 1)
    base, candidate = (
        [float(np.exp(-likelihood / tokens)) for likelihood, tokens in scored[role]]
        for role in ("base", "candidate")
    )
    ends = [min(*base, *candidate), max(*base, *candidate)]
    axes.plot(ends, ends, color=GREY, linewidth=0.8)
    axes.plot(base, candidate, "o", color=_COLOURS["candidate"], markersize=4, alpha=0.7)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("perplexity of a passage, base", fontsize=8)
    axes.set_ylabel("perplexity of a passage, candidate", fontsize=8)
    path.write_bytes(png_of(canvas))


def _interval(axes: "Axes", position: int, estimate: Estimate, colour: str) -> None:
    if isfinite(estimate.low) and isfinite(estimate.high):
        axes.plot([position, position], [estimate.low, estimate.high], color=colour, linewidth=2)
    axes.plot(position, estimate.value, "o", color=colour)
