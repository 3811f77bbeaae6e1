"""Lists in a PDF: which blocks are items, what marks them, and how deep they are."""

import re
from dataclasses import dataclass, replace

from twin.crawl.formats.pdf_lines import Line
from twin.crawl.formats.pdf_tables import Rows
from twin.crawl.formats.pdf_tags import Role, Tag

#: How far an indented line is set in, in heights of a line.
INDENTATION = 0.7

_BULLET = re.compile(r"[\u2022\u2023\u25aa\u25cf\u25e6\u2219\u00b7\u2013\-*\uf0b7]\s+(?=\S)")
_NUMBERED = re.compile(r"(?:\(?\d{1,3}[.)]|\(?[a-z][.)])\s+(?=\S)")
_NUMBER = re.compile(r"(?P<number>\d{1,3})[.)]\s+(?=\S)")
_NUMBER_LABEL = re.compile(r"\(?(?P<number>\d{1,9})[.)]?")
_LETTER_LABEL = re.compile(r"\(?(?:[a-z]{1,2}|[ivxlcdm]{1,7})[.)]", re.IGNORECASE)


@dataclass(frozen=True)
class Block:
    """A paragraph, a part of a list's item, a table, or a heading (whose level is 1 or more).

    Attributes:
        is_largest: its font is the largest of the first page, and larger than the text's.
        depth: of the list that it is in; 0 outside of lists.
        marker: of the item that it begins (``- ``, ``1. ``).
        rows: of a table, which has no text besides.
        continues: the tags say that its beginning is on the page before.
    """

    text: str
    page: int
    level: int = 0
    is_largest: bool = False
    depth: int = 0
    marker: str = ""
    rows: Rows = ()
    continues: bool = False


class Items:
    """Finds the items of lists, what marks them and how deep they are."""

    def __init__(self) -> None:
        self._lefts: list[float] = []
        self._labels: dict[tuple[int, int], str] = {}
        self._begun: set[tuple[int, int]] = set()

    def end(self, block: Block) -> Block:
        """A block that ends whatever list there was."""
        self._lefts.clear()
        return block

    def found(self, block: Block, group: list[Line]) -> Block:
        """A block as an item, or a later part of one, if that is what its lines are."""
        tag = group[0].tag
        if tag is None or tag.role in {Role.TEXT, Role.CELL}:
            return self._by_look(block, group[0])
        return self._by_tag(block, group, tag) if tag.role is Role.ITEM else self.end(block)

    def _by_look(self, block: Block, line: Line) -> Block:
        """By its bullet or number; its depth by where it stands below the item before."""
        block = _marked(block)
        if not block.marker:
            return self.end(block)
        tolerance = INDENTATION * line.size
        while self._lefts and line.left < self._lefts[-1] - tolerance:
            self._lefts.pop()
        if not self._lefts or line.left > self._lefts[-1] + tolerance:
            self._lefts.append(line.left)
        return replace(block, depth=len(self._lefts))

    def _by_tag(self, block: Block, group: list[Line], tag: Tag) -> Block:
        key = (block.page, tag.item)
        said = " ".join(line.text for line in group if line.tag and line.tag.label)
        label = self._labels[key] = f"{self._labels.get(key, '')}{said}".strip()
        block = replace(block, depth=tag.level)
        if not block.text or key in self._begun or tag.continues:
            return block
        self._begun.add(key)
        if not label and (marked := _marked(block)).marker:
            return marked
        if match := _NUMBER_LABEL.fullmatch(label):
            return replace(block, marker=f"{match['number']}. ")
        if _LETTER_LABEL.fullmatch(label):
            return replace(block, marker=f"{tag.index}. ")
        if any(character.isalnum() for character in label):  # the term that an item defines
            block = replace(block, text=f"{label} {block.text}")
        return replace(block, marker="- ")


def _marked(block: Block) -> Block:
    """A block without the bullet or number that its text begins with."""
    if match := _BULLET.match(block.text):
        return replace(block, text=block.text[match.end() :], marker="- ")
    if match := _NUMBER.match(block.text):
        return replace(block, text=block.text[match.end() :], marker=f"{match['number']}. ")
    return block


def is_item(line: Line) -> bool:
    """Whether a line begins with a bullet or a number."""
    return bool(_BULLET.match(line.text) or _NUMBERED.match(line.text))
