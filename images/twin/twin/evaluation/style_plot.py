"""The style scatter: who writes how much like the author, by two measures at once."""

from collections.abc import Sequence
from pathlib import Path

from twin.evaluation.style_report import StyleReport
from twin.pages.canvas import BLUE, GREEN, GREY, ORANGE, PINK, RED, new_canvas, panels_of, png_of

STYLE_PLOT = "style.png"
#: What is drawn last lies on top.
_COLOURS = {
    "others": RED,
    "base": GREY,
    "reference": PINK,
    "champion": ORANGE,
    "candidate": BLUE,
    "author": GREEN,
}
_ACROSS, _UP = "grammar", "characters"


def draw_style(folder: Path, style: StyleReport) -> Sequence[str]:
    """Draw the scatter into ``folder``; returns its name, or nothing where there is no measure.

    A point is what one wrote about a group of documents, or all that another author wrote.
    """
    if not style.points:
        return ()
    labels = {measure.name: measure.label for measure in style.measures}
    canvas = new_canvas(5.2, 4.8)
    (axes,) = panels_of(canvas, 1)
    for who, colour in _COLOURS.items():
        points = [point.scores for point in style.points if point.who == who]
        if points:
            across, up = ([each[name] for each in points] for name in (_ACROSS, _UP))
            axes.plot(across, up, "o", color=colour, markersize=5, alpha=0.7, label=who)
    for place in (axes.axhline, axes.axvline):
        place(0.5, color=GREY, linewidth=0.5, zorder=0)
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel(f"probability of the author: {labels[_ACROSS]}", fontsize=8)
    axes.set_ylabel(f"probability of the author: {labels[_UP]}", fontsize=8)
    axes.legend(fontsize=8)
    (folder / STYLE_PLOT).write_bytes(png_of(canvas))
    return (STYLE_PLOT,)
