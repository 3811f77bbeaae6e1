"""Text that goes into Markdown as it is: formulas, marks of notes, states of tasks."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.html import HtmlElement

#: On a ``span`` whose text is Markdown already.
VERBATIM = "data-twin-verbatim"


def verbatim(beside: "HtmlElement", text: str) -> "HtmlElement":
    """A ``span`` of such text, for the tree that ``beside`` is in."""
    span = beside.makeelement("span")
    span.set(VERBATIM, "")
    span.text = text
    return span
