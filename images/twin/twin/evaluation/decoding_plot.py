"""The plot of a study of decoding, as a PNG image."""

from collections.abc import Sequence

from twin.evaluation.decoding import Row
from twin.pages.canvas import BLUE, GREY, new_canvas, panels_of, png_of


def draw_decoding(rows: Sequence[Row]) -> bytes:
    """Quality (up) and diversity (across) of each setting; faster ones are larger.

    Other prompts, and what can't be served, are grey.
    """
    canvas = new_canvas(6.5, 4.5)
    (axes,) = panels_of(canvas, 1)
    fastest = max(row.tokens_per_second for row in rows)
    for row in rows:
        size = 20 + 120 * row.tokens_per_second / fastest
        place = (row.diversity.value, row.quality.value)
        axes.scatter(*place, s=size, color=BLUE if row.servable else GREY, alpha=0.6)
        axes.annotate(row.name, place, xytext=(6, 4), textcoords="offset points", fontsize=7)
    axes.set_xlabel("diversity: share of different word pairs", fontsize=8)
    axes.set_ylabel("quality", fontsize=8)
    axes.tick_params(labelsize=8)
    return png_of(canvas)
