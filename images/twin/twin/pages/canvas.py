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


def panels_of(canvas: Any, panels: int, columns: int | None = None) -> "list[Axes]":
    """So many panels beside one another, without a frame at the top and on the right.

    Args:
        canvas: that they are on.
        panels: how many.
        columns: how many in a row; None puts all of them into one.
    """
    columns = min(columns or panels, panels)
    axes = list(canvas.subplots(-(-panels // columns), columns, squeeze=False).flat)
    for each in axes[:panels]:
        each.spines[["top", "right"]].set_visible(False)
    for each in axes[panels:]:
        each.set_axis_off()
    return axes[:panels]


def png_of(canvas: Any) -> bytes:
    """The canvas as a PNG image."""
    image = BytesIO()
    canvas.savefig(image, format="png", dpi=DPI)
    return image.getvalue()
