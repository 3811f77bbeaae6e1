"""From a PDF's lines to its paragraphs, headings, lists and tables."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from statistics import median

from twin.crawl.formats.pdf_items import INDENTATION, Block, Items, is_item
from twin.crawl.formats.pdf_lines import SOFT_HYPHENS, Line
from twin.crawl.formats.pdf_tables import cut_tables
from twin.crawl.formats.pdf_tags import Role
from twin.crawl.formats.plain_text import SENTENCE_ENDS

# Running heads and page numbers stand in these parts of a page, and on so many of the pages.
_EDGE = 0.12
_RUNNING_SHARE = 0.4
_PAGE_NUMBER = re.compile(
    r"(?:page|seite|p\.)?\s*[-\u2013\u2014|]?\s*(?:\d{1,4}|[ivxlc]{1,7})"
    r"\s*[-\u2013\u2014|]?(?:\s*(?:/|of|von)\s*\d{1,4})?",
    re.IGNORECASE,
)

# A line of a table of contents: dots that lead to a page number.
_LEADERS = re.compile(r"(?:\.\s?){5,}\s*\w{0,6}$")

# A heading's font is so much larger than the text's; it is no longer than this.
_HEADING_RATIO = 1.12
_LONGEST_HEADING = 160
_DEEPEST_LEVEL = 4

# Distance between paragraphs, in heights of a line.
_GAP = 0.6
_SHORT_LINE = 0.85
_HYPHENATED = re.compile(rf"(?P<word>[^\W\d_]+)(?P<hyphen>[-\u2010{SOFT_HYPHENS}])$")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")


def body_lines(pages: list[list[Line]]) -> list[Line]:
    """The lines of all pages without running heads and feet, page numbers, tables of contents."""
    seen: Counter[tuple[str, str]] = Counter()
    for lines in pages:
        seen.update({key for line in lines if (key := _edge_key(line))})
    often = max(2, _RUNNING_SHARE * len(pages))
    running = {key for key, times in seen.items() if times >= often}
    return [
        line
        for lines in pages
        for line in lines
        if not _LEADERS.search(line.text)
        and not (
            (key := _edge_key(line))
            and (line.artifact or key in running or _PAGE_NUMBER.fullmatch(line.text))
        )
    ]


def edge_of(line: Line) -> str:
    """The edge of its page at which a line stands: ``top``, ``bottom`` or none."""
    if line.bottom > line.page_height * (1 - _EDGE):
        return "top"
    return "bottom" if line.top < line.page_height * _EDGE else ""


def _edge_key(line: Line) -> tuple[str, str] | None:
    """What makes two lines at the edges of two pages the same; None if it stands in the middle."""
    if not (edge := edge_of(line)) or _is_tagged(line, Role.ITEM, Role.CELL):
        return None
    return edge, re.sub(r"\d+", "#", line.text.casefold())


def blocks_of(lines: list[Line], outline: Mapping[tuple[int, str], int]) -> list[Block]:
    """Blocks in reading order.

    Args:
        lines: of the body, in the order of the text.
        outline: page number and letters of the title of each entry, to its level.
    """
    if not lines:
        return []
    body = _body_size(lines)
    words = _words(lines)
    levels = _levels_by_size(lines, body)
    largest = max(line.size for line in lines if line.page == lines[0].page)
    tagged = any(_is_tagged(line, Role.HEADING) for line in lines)
    right = _right_edges(lines)
    items = Items()
    blocks = []
    for stretch in cut_tables(lines):
        if isinstance(stretch, tuple):
            first, rows = stretch
            continues = first.tag is not None and first.tag.continues
            blocks.append(items.end(Block("", first.page, rows=rows, continues=continues)))
            continue
        for group in _groups(stretch, right, body, outline):
            block = _block(group, _joined(_unlabelled(group), words))
            if not tagged and not _is_tagged(group[0], Role.ITEM, Role.CELL):
                block = replace(block, level=_level(group, block.text, outline, levels))
            if group[0].size == largest >= body * _HEADING_RATIO:
                block = replace(block, is_largest=True)
            block = items.end(block) if block.level else items.found(block, group)
            if block.text:
                blocks.append(block)
    return _over_pages(blocks, words)


def _block(group: list[Line], text: str) -> Block:
    """A block as far as its tag tells of it."""
    first = group[0]
    block = Block(text, first.page)
    if first.tag and _is_tagged(first, Role.HEADING):
        return replace(block, level=first.tag.level or 1)
    if first.tag and _is_tagged(first, Role.PARAGRAPH, Role.ITEM):
        return replace(block, continues=first.tag.continues)
    return block


def _is_tagged(line: Line, *roles: Role) -> bool:
    return line.tag is not None and line.tag.role in roles


def _unlabelled(group: list[Line]) -> list[Line]:
    return [line for line in group if not (line.tag and line.tag.label)]


def _body_size(lines: Iterable[Line]) -> float:
    """The size in which most characters are set."""
    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[line.size] += len(line.text)
    return sizes.most_common(1)[0][0]


def _words(lines: Iterable[Line]) -> Counter[str]:
    """How often each word stands whole: what tells `well-known` from `hyphen-ation`."""
    return Counter(word.casefold() for line in lines for word in _WORD.findall(line.text)[:-1])


def _levels_by_size(lines: list[Line], body: float) -> dict[float, int]:
    larger = {line.size for line in lines if line.size >= body * _HEADING_RATIO}
    ordered = sorted(larger, reverse=True)
    # Sizes that differ by less than a tenth are one level.
    levels: dict[float, int] = {}
    level, last = 0, 0.0
    for size in ordered:
        if not last or size < last * 0.93:
            level, last = level + 1, size
        levels[size] = min(level, _DEEPEST_LEVEL)
    return levels


def _letters(text: str) -> str:
    return "".join(re.findall(r"[^\W\d_]+", text.casefold()))


def _level(
    group: list[Line], text: str, outline: Mapping[tuple[int, str], int], levels: dict[float, int]
) -> int:
    """Level of a heading; 0 for a paragraph."""
    if len(text) > _LONGEST_HEADING:
        return 0
    if level := outline.get((group[0].page, _letters(text))):
        return level
    if outline and group[0].page > 0:
        return 0
    return levels.get(group[0].size, 0) if any(c.isalpha() for c in text) else 0


def _groups(
    lines: list[Line], right: dict[int, float], body: float, outline: Mapping[tuple[int, str], int]
) -> Iterator[list[Line]]:
    """Lines that belong together."""
    group: list[Line] = []
    for line in lines:
        if group and _begins(line, group, right, body, outline):
            yield group
            group = []
        group.append(line)
    if group:
        yield group


def _right_edges(lines: list[Line]) -> dict[int, float]:
    """Where most lines of each page end."""
    ends: dict[int, list[float]] = {}
    for line in lines:
        ends.setdefault(line.page, []).append(line.right)
    return {page: sorted(values)[int(len(values) * 0.75)] for page, values in ends.items()}


def _begins(
    line: Line,
    group: list[Line],
    right: dict[int, float],
    body: float,
    outline: Mapping[tuple[int, str], int],
) -> bool:
    """Whether a line begins another block than the lines before it."""
    before = group[-1]
    if line.page != before.page:
        return True
    if (told := _begins_by_tag(line, group)) is not None:
        return told
    return is_item(line) or _begins_by_look(line, group, right, body, outline)


def _begins_by_tag(line: Line, group: list[Line]) -> bool | None:
    """What the tags say of that; None if nothing."""
    tag, before = line.tag, group[-1].tag
    if tag is None and before is None:
        return None
    if tag is None or before is None:
        return True
    if tag.block != before.block:
        return not (tag.role is before.role is Role.TEXT and _is_beside(line, group[-1]))
    if tag.role is Role.TEXT:
        return None
    return tag.role in {Role.PARAGRAPH, Role.CELL} and _is_apart(line, group)


def _is_beside(line: Line, before: Line) -> bool:
    """Whether it goes on to the right of the line before, as what is set off in a line does."""
    return abs(line.top - before.top) < 0.5 * line.size and line.left > before.left


def _begins_by_look(
    line: Line,
    group: list[Line],
    right: dict[int, float],
    body: float,
    outline: Mapping[tuple[int, str], int],
) -> bool:
    before = group[-1]
    if abs(line.size - before.size) > 0.08 * max(line.size, before.size):
        return min(len(line.text), len(before.text)) > 3  # not for an index or a note's number
    if _is_in(outline, [line]) or _is_in(outline, group):
        return True
    if line.top > before.top + line.size:  # the next column
        return not _goes_on(before.text, line.text)
    if _is_apart(line, group):
        return True
    # A heading may have several lines.
    return line.size < body * _HEADING_RATIO and _begins_paragraph(line, group, right[line.page])


def _is_in(outline: Mapping[tuple[int, str], int], lines: list[Line]) -> bool:
    return (lines[0].page, _letters(" ".join(line.text for line in lines))) in outline


def _is_apart(line: Line, group: list[Line]) -> bool:
    """Whether it is farther from the line before it than lines of one paragraph are."""
    gap = group[-1].bottom - line.top
    usual = median([a.bottom - b.top for a, b in pairwise(group)] or [gap])
    return gap > _GAP * line.size or gap > usual + 0.35 * line.size


def _begins_paragraph(line: Line, group: list[Line], right: float) -> bool:
    """Whether its indentation, or a last line that was not full, sets a line off."""
    before = group[-1]
    if not SENTENCE_ENDS.search(before.text):
        return False
    if line.left > before.left + INDENTATION * line.size and not is_item(group[0]):
        return True
    was_short = before.right - before.left < _SHORT_LINE * max(right - before.left, 1.0)
    return was_short and line.left <= group[0].left + line.size and line.text[:1].isupper()


def _joined(group: list[Line], words: Counter[str]) -> str:
    text = ""
    for line in group:
        text = _append(text, line.text, words)
    return " ".join(re.sub(rf"[{SOFT_HYPHENS}]", "-", text).split())


def _append(text: str, following: str, words: Counter[str]) -> str:
    """A line put behind the text before it, a word that was cut between them made whole."""
    cut = _HYPHENATED.search(text)
    first = re.match(r"[^\W\d_]+", following)
    if cut is None or first is None or not following[0].islower():
        return f"{text} {following}".lstrip()
    whole, compound = f"{cut['word']}{first[0]}", f"{cut['word']}-{first[0]}"
    if words[compound.casefold()] > words[whole.casefold()]:
        return f"{text[: cut.start('hyphen')]}-{following}"
    return f"{text[: cut.start('hyphen')]}{following}"


def _goes_on(before: str, line: str) -> bool:
    return not SENTENCE_ENDS.search(before) and (line[:1].islower() or before[-1:] == ",")


def _over_pages(blocks: list[Block], words: Counter[str]) -> list[Block]:
    """Put the two halves of a paragraph, an item or a table together that a page ends in."""
    joined: list[Block] = []
    for block in blocks:
        last = joined[-1] if joined else None
        if last is None or last.page >= block.page or last.level or block.level:
            joined.append(block)
        elif last.rows and block.rows:
            joined[-1:] = _tables_over_pages(last, block)
        elif _is_second_half(last, block):
            text = " ".join(_append(last.text, block.text, words).split())
            joined[-1] = replace(last, text=text, page=block.page)
        else:
            joined.append(block)
    return joined


def _is_second_half(last: Block, block: Block) -> bool:
    if last.rows or block.rows or block.marker:
        return False
    if block.continues:
        return last.depth == block.depth
    return not block.depth and _goes_on(last.text, block.text)


def _tables_over_pages(last: Block, block: Block) -> list[Block]:
    """A table whose head is repeated on the next page, or that the tags say goes on there."""
    repeats = last.rows[0] == block.rows[0]
    if len(last.rows[0]) != len(block.rows[0]) or not (repeats or block.continues):
        return [last, block]
    return [replace(last, rows=last.rows + block.rows[repeats:], page=block.page)]
