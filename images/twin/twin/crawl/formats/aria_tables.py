"""Tables whose elements are called such by their roles only (``role="table"``)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_TAGS = {
    "row": "tr", "cell": "td", "gridcell": "td", "columnheader": "th", "rowheader": "th",
    "rowgroup": "tbody",
}  # fmt: skip
_OWN = frozenset({"table", "tr", "td", "th", "tbody", "thead", "tfoot"})


def write_tables(tree: "HtmlElement") -> None:
    """Give the elements of such tables the tags of one."""
    for table in tree.xpath("//*[@role='table' or @role='grid' or @role='treegrid']"):
        if table.tag in _OWN or not table.xpath("boolean(.//*[@role='row'])"):
            continue
        table.tag = "table"
        for part in table.iterdescendants():
            if isinstance(part.tag, str) and part.tag not in _OWN and part.get("role") in _TAGS:
                part.tag = _TAGS[part.get("role")]
