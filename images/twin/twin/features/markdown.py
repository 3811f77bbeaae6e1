"""A Markdown document as its sections and blocks, each a span of the text.

Spans, not copies: chunks are slices of the document, so they hold the author's text verbatim.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING

from twin.features.formula_blocks import formula_rule

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token


@dataclass(frozen=True)
class Block:
    """A top-level block: its kind and where it stands in the text."""

    kind: str
    start: int
    end: int
    level: int = 0
    heading: str = ""


@dataclass
class Section:
    """The blocks between two headings, and the headings over them, outermost first."""

    headings: tuple[Block, ...] = ()
    blocks: list[Block] = field(default_factory=list)

    @property
    def path(self) -> tuple[str, ...]:
        """The words of the headings."""
        return tuple(heading.heading for heading in self.headings)


def blocks_of(text: str) -> list[Block]:
    """The top-level blocks of ``text``, which together hold all its characters but blanks.

    Kinds: heading, paragraph, list, code, table, formula, other. Lines that Markdown makes nothing
    of (link definitions) are blocks of kind other.
    """
    starts = _line_starts(text)
    blocks: list[Block] = []
    line = 0
    for token in _top_level(text):
        first, last = token.map or (line, line)
        blocks += _lines(text, starts, "other", line, first)
        if token.type == "heading_open":
            title = _heading(text[starts[first] : starts[last]])
            level = int(token.tag[1:])
            blocks += _lines(text, starts, "heading", first, last, level, title)
        else:
            blocks += _lines(text, starts, _KINDS.get(token.type, "other"), first, last)
        line = max(line, last)
    return blocks + _lines(text, starts, "other", line, len(starts) - 1)


def sections_of(blocks: list[Block], fits: Callable[[tuple[str, ...]], bool]) -> list[Section]:
    """Blocks grouped under their headings.

    Args:
        blocks: of one document, in order.
        fits: whether a path of headings is short enough to stand over a chunk; a heading that
            makes it too long is kept as text.

    A heading with nothing under it, not even a deeper one, is text too: it leads nowhere.
    """
    sections = [Section()]
    for place, block in enumerate(blocks):
        if block.kind != "heading":
            sections[-1].blocks.append(block)
            continue
        outer = tuple(h for h in sections[-1].headings if h.level < block.level)
        section = Section((*outer, block))
        if not (block.heading and _leads(blocks, place) and fits(section.path)):
            section = Section(outer, [block])
        sections.append(section)
    return [section for section in sections if section.blocks]


_KINDS = {
    "paragraph_open": "paragraph",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "fence": "code",
    "code_block": "code",
    "table_open": "table",
    "formula": "formula",
}


def _leads(blocks: list[Block], place: int) -> bool:
    """Whether anything stands under the heading at ``place``."""
    if place + 1 == len(blocks):
        return False
    following = blocks[place + 1]
    return following.kind != "heading" or following.level > blocks[place].level


@cache
def _parser() -> "MarkdownIt":
    """Finds blocks only: what is inside them stays as the author wrote it."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    parser.block.ruler.before(
        "table", "formula", formula_rule, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


@cache
def _inline_parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark")


def _top_level(text: str) -> Iterator["Token"]:
    for token in _parser().parse(text):
        if token.level == 0 and token.nesting >= 0 and token.map:
            yield token


def _heading(markdown: str) -> str:
    """The words of a heading, without marks, links and the anchors that blogs append."""
    tokens = _inline_parser().parse(markdown)
    words = [
        child.content
        for token in tokens
        for child in token.children or ()
        if child.type in {"text", "code_inline"} or child.type.endswith("break")
    ]
    return " ".join("".join(word or " " for word in words).removesuffix("#").split())


def _line_starts(text: str) -> list[int]:
    """Where each line begins, and the end of the text."""
    return list(accumulate((len(line) + 1 for line in text.split("\n")), initial=0))


def _lines(
    text: str,
    starts: list[int],
    kind: str,
    first: int,
    last: int,
    level: int = 0,
    heading: str = "",
) -> list[Block]:
    """The block of these lines, without blank lines around it; none if all are blank."""
    start, end = starts[first], min(starts[last], len(text))
    body = text[start:end]
    if not body.strip():
        return []
    end = start + len(body.rstrip())
    # Blank lines go, the indentation of the first line with words stays.
    words = len(body) - len(body.lstrip())
    start += body.rfind("\n", 0, words) + 1
    return [Block(kind, start, end, level, heading)]
