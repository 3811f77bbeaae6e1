"""Where plots are drawn, and their colours.

The colours are Okabe and Ito's ("Color Universal Design", 2008), which colour-blind people can
tell apart. The font of the plots has Latin, Greek and Cyrillic only, so they hold no word of a text
that somebody wrote.
"""

from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
RED = "#D55E00"
PINK = "#CC79A7"
GREY = "#999999"

DPI = 120


def new_canvas(width: float, height: float) -> Any:
    """A figure of its own, in inches: no pyplot, which keeps global state and wants a display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def row_of_axes(canvas: Any, panels: int) -> "list[Axes]":
    """So many panels beside one another, without a frame at the top and on the right."""
    axes = list(canvas.subplots(1, panels, squeeze=False)[0])
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return axes


def png_of(canvas: Any) -> bytes:
    """The canvas as a PNG image."""
    image = BytesIO()
    canvas.savefig(image, format="png", dpi=DPI)
    return image.getvalue()
