"""What a tagged PDF says of its text: headings, paragraphs, items of lists, cells of tables.

Browsers, word processors and typesetters for the web write a tree of the document's structure
beside the page's drawing; each piece of text bears a number that the tree names.
"""

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

_HEADING = re.compile(r"H([1-6])?")
# Elements within a line; all others that are not named below hold blocks.
_INLINE = frozenset({
    "NonStruct", "Span", "Link", "Quote", "Em", "Strong", "Sub", "Code", "Reference", "BibEntry",
    "Note", "FENote", "Annot", "Ruby", "RB", "RT", "RP", "Warichu", "WT", "WP", "Formula", "Figure",
    "Private",
})  # fmt: skip
_DEEPEST = 64
_MAX_SPAN = 50
# Each page names all children of the elements that are on it: in a long book, far too many.
_MAX_CHILDREN = 2_000_000
# A child may be named twice, and its children too, by whoever wants a walk without end.
_MAX_ELEMENTS_OF_PAGE = 50_000


class Role(Enum):
    """What a piece of text is."""

    TEXT = "text"
    PARAGRAPH = "paragraph"
    HEADING = "heading"
    ITEM = "item"
    CELL = "cell"


@dataclass(frozen=True, eq=False)
class Tag:
    """A structure element with text, or the label of a list's item.

    Attributes:
        block: number of the block element that the text is in, on its page.
        level: of a heading (0 where the tag does not say it), or of the list that an item is in.
        item: number of the item of a list, on its page.
        index: place of the item in its list, from 1.
        label: the text is the bullet or number of its item.
        table, row, column: of a cell; tables and rows are numbered on their page.
        header: the cell is a header.
        continues: the beginning of its block or item, or of a cell's table, is on an earlier page.
    """

    role: Role
    block: int
    level: int = 0
    item: int = 0
    index: int = 0
    label: bool = False
    table: int = 0
    row: int = 0
    column: int = 0
    header: bool = False
    continues: bool = False


class TagReader:
    """Reads the tags of one file's pages."""

    def __init__(self) -> None:
        self._left = _MAX_CHILDREN

    def tags_of(self, page: Any) -> dict[int, Tag]:
        """The tags of a page (pypdfium2's) by the numbers of its marked content.

        Empty if it is untagged, or if the file has so many elements that it would take minutes.
        """
        import pypdfium2.raw as pdfium

        if self._left < 0:
            return {}
        walk = _Walk()
        with _tree(page) as tree:
            for place in range(pdfium.FPDF_StructTree_CountChildren(tree) if tree else 0):
                if element := pdfium.FPDF_StructTree_GetChildAtIndex(tree, place):
                    walk.enter(element, Tag(Role.TEXT, 0), place, 0)
        self._left -= walk.children
        if walk.elements > _MAX_ELEMENTS_OF_PAGE:
            self._left = -1
        return walk.tags if self._left >= 0 else {}


@contextmanager
def _tree(page: Any) -> Iterator[Any]:
    import pypdfium2.raw as pdfium

    tree = pdfium.FPDF_StructTree_GetForPage(page)
    try:
        yield tree
    finally:
        if tree:
            pdfium.FPDF_StructTree_Close(tree)


class _Walk:
    """A walk through the structure of a page."""

    def __init__(self) -> None:
        self.tags: dict[int, Tag] = {}
        self.elements = self.children = 0
        self._numbers = 0
        self._columns: dict[int, int] = {}  # row to its next column

    def enter(self, element: Any, outer: Tag, place: int, depth: int) -> None:
        """Note the text of an element, which is its parent's child number ``place``."""
        import pypdfium2.raw as pdfium

        self.elements += 1
        if depth > _DEEPEST or self.elements > _MAX_ELEMENTS_OF_PAGE:
            return
        tag = self._tag(element, outer, place)
        children = pdfium.FPDF_StructElement_CountChildren(element)
        self.children += children
        for child in range(children):
            if inner := pdfium.FPDF_StructElement_GetChildAtIndex(element, child):
                self.enter(inner, tag, child, depth + 1)
            elif (number := _content(element, child)) >= 0:
                self.tags[number] = tag

    def _tag(self, element: Any, outer: Tag, place: int) -> Tag:
        kind = _type(element)
        if outer.role is Role.CELL or (kind in _INLINE and not _is_block(kind, element, outer)):
            return outer
        if kind in {"Table", "TR", "THead", "TBody", "TFoot", "TH", "TD"}:
            return self._in_table(kind, element, outer)
        if kind in {"L", "LI", "Lbl", "LBody"} or outer.role is Role.ITEM:
            return self._in_list(kind, element, outer, place)
        if outer.role in {Role.PARAGRAPH, Role.HEADING}:
            return outer
        if match := _HEADING.fullmatch(kind):
            level = int(match[1] or 0)
            return self._new(Role.HEADING, element, level=level)
        return self._new(Role.PARAGRAPH if kind in {"P", "Caption"} else Role.TEXT, element)

    def _in_table(self, kind: str, element: Any, outer: Tag) -> Tag:
        if kind == "Table":
            return self._new(Role.TEXT, element, table=self._number())
        if kind == "TR":
            row = self._number()
            self._columns[row] = 0
            return replace(outer, row=row)
        if kind not in {"TH", "TD"} or not outer.row:
            return outer
        column = self._columns[outer.row]
        self._columns[outer.row] += _columns(element)
        return replace(
            outer, role=Role.CELL, block=self._number(), column=column, header=kind == "TH"
        )

    def _in_list(self, kind: str, element: Any, outer: Tag, place: int) -> Tag:
        if kind == "L":
            return replace(outer, role=Role.ITEM, level=outer.level + 1, item=0)
        if outer.role is not Role.ITEM:
            return outer
        if kind == "LI":
            return self._new(
                Role.ITEM, element, level=outer.level, item=self._number(), index=place + 1
            )
        if kind == "Lbl":
            return replace(outer, label=True)
        # A paragraph in an item.
        return outer if kind == "LBody" else replace(outer, block=self._number())

    def _new(self, role: Role, element: Any, **fields: Any) -> Tag:
        return Tag(role, self._number(), continues=not _begins_here(element), **fields)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers


def _content(element: Any, place: int) -> int:
    import pypdfium2.raw as pdfium

    return int(pdfium.FPDF_StructElement_GetChildMarkedContentID(element, place))


def _begins_here(element: Any) -> bool:
    """Whether an element's first text is on this page: what is on another is not in the tree."""
    import pypdfium2.raw as pdfium

    for _ in range(_DEEPEST):
        if _content(element, 0) >= 0:
            return True
        element = pdfium.FPDF_StructElement_GetChildAtIndex(element, 0)
        if not element:
            return False
    return True


def _is_block(kind: str, element: Any, outer: Tag) -> bool:
    """Whether it is a block without a name, as browsers write them: around what is in a line."""
    import pypdfium2.raw as pdfium

    holds_others = any(
        pdfium.FPDF_StructElement_GetChildAtIndex(element, place)
        for place in range(pdfium.FPDF_StructElement_CountChildren(element))
    )
    return kind == "NonStruct" and outer.role is Role.TEXT and holds_others


def _type(element: Any) -> str:
    import pypdfium2.raw as pdfium

    size = pdfium.FPDF_StructElement_GetType(element, None, 0)
    buffer = ctypes.create_string_buffer(size)
    pdfium.FPDF_StructElement_GetType(element, buffer, size)
    return buffer.raw[: max(size - 2, 0)].decode("utf-16-le", "replace")


def _columns(cell: Any) -> int:
    """How many columns a cell takes."""
    import pypdfium2.raw as pdfium

    for place in range(pdfium.FPDF_StructElement_GetAttributeCount(cell)):
        attributes = pdfium.FPDF_StructElement_GetAttributeAtIndex(cell, place)
        value = attributes and pdfium.FPDF_StructElement_Attr_GetValue(attributes, b"ColSpan")
        number = ctypes.c_float()
        if value and pdfium.FPDF_StructElement_Attr_GetNumberValue(value, number):
            return min(max(int(number.value), 1), _MAX_SPAN)
    return 1
