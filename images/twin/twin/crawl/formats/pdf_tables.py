"""Tables of a PDF: by its tags, else by the columns in which words stand."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise, takewhile
from statistics import median

from twin.crawl.formats.pdf_lines import Line, Word
from twin.crawl.formats.pdf_tags import Role

Row = tuple[str, ...]
#: Rows of one width, the first of which is the header.
Rows = tuple[Row, ...]

# Cells of data are short; longer ones are a page's layout, if no cell is a header.
_MAX_WORDS_OF_CELL = 60

# What lies between two columns, in heights of a line: in each row at least the first, in some the
# second, which hardly any space between two words of a paragraph has.
_GUTTER = 0.4
_WIDE_GUTTER = 1.2
_MIN_ROWS = 3
_MAX_PITCH = 2.5
_MAX_COLUMNS = 30
# Two columns of more words than that in a row are prose beside prose.
_MAX_WORDS_OF_ROW = 5
_LABEL = re.compile(r"[\u2022\u2023\u25aa\u25cf\u25e6\u2219\u00b7\u2013*\uf0b7-]|\W?\w{1,4}[.)\]:]")

_Gap = tuple[float, float]


def cut_tables(lines: list[Line]) -> Iterator[list[Line] | tuple[Line, Rows]]:
    """Lines in stretches: those of text, and tables with the first line of each."""
    text: list[Line] = []
    place = 0
    while place < len(lines):
        found = _tagged(lines, place) if lines[place].tag else _aligned(lines, place)
        rows, count = found or ((), 1)
        if not rows:
            text += lines[place : place + count]
        else:
            if text:
                yield text
                text = []
            yield lines[place], rows
        place += count
    if text:
        yield text


def markdown_of(rows: Rows) -> str:
    """A table in Markdown."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], f"|{' --- |' * len(rows[0])}", *lines[1:]])


# By tags


def _tagged(lines: list[Line], start: int) -> tuple[Rows, int] | None:
    """The table whose first cell a line is, without rows if it is no data, and how many lines."""
    first = lines[start]
    if first.tag is None or first.tag.role is not Role.CELL:
        return None
    lines = list(takewhile(lambda line: _is_cell_of(first, line), islice(lines, start, None)))
    cells: dict[int, dict[int, list[Line]]] = {}
    for line in lines:
        if line.tag:
            cells.setdefault(line.tag.row, {}).setdefault(line.tag.block, []).append(line)
    rows = [sorted(row.values(), key=_column) for row in cells.values()]
    has_header = any(line.tag.header for line in lines if line.tag)
    longest = max(len(_text(cell).split()) for row in rows for cell in row)
    if max(map(len, rows)) < 2 or (longest > _MAX_WORDS_OF_CELL and not has_header):
        return (), len(lines)
    return _in_columns(rows), len(lines)


def _is_cell_of(first: Line, line: Line) -> bool:
    """Whether a line is in a cell of the same table as the first."""
    one, other = first.tag, line.tag
    return (
        one is not None
        and other is not None
        and line.page == first.page
        and (other.role, other.table) == (Role.CELL, one.table)
    )


def _text(cell: list[Line]) -> str:
    return " ".join(line.text for line in cell)


def _column(cell: list[Line]) -> int:
    return cell[0].tag.column if cell[0].tag else 0


def _in_columns(rows: list[list[list[Line]]]) -> Rows:
    """Rows of cells, each in its column.

    Empty cells, and those below one that takes several rows, are in no tag: a row that has too few
    is laid out by the places of the cells in whole rows.
    """
    width = max(_column(row[-1]) for row in rows) + 1
    whole = [row for row in rows if len(row) == width]
    columns = [
        (
            min(line.left for row in whole for line in row[place]),
            max(line.right for row in whole for line in row[place]),
        )
        for place in range(width)
        if whole
    ]
    table = []
    for row in rows:
        places = [_column(cell) for cell in row]
        if columns and places[-1] < width - 1:
            places = _nearest(row, columns)
        texts = dict(zip(places, map(_text, row), strict=True))
        table.append(tuple(texts.get(place, "") for place in range(width)))
    return tuple(table)


def _nearest(row: list[list[Line]], columns: list[_Gap]) -> list[int]:
    """For each cell the column whose left edge, right edge or middle it shares."""
    places: list[int] = []
    for number, cell in enumerate(row):
        left, right = min(line.left for line in cell), max(line.right for line in cell)
        free = range(places[-1] + 1 if places else 0, len(columns) - (len(row) - number) + 1)
        places.append(min(free, key=lambda place: _distance((left, right), columns[place])))
    return places


def _distance(one: _Gap, other: _Gap) -> float:
    left, right = one[0] - other[0], one[1] - other[1]
    return min(abs(left), abs(right), abs(left + right) / 2)


# By the places of words


def _aligned(lines: list[Line], start: int) -> tuple[Rows, int] | None:
    """The table that begins with a line, and its number of lines; None if none does."""
    beside = _side_by_side(lines, start)
    taken = list(islice(beside, _MIN_ROWS))
    gutters = _gutters([line for line, _ in taken])
    if not gutters or _is_prose([_cells(line, gutters) for line, _ in taken]):
        return None
    for line, count in beside:
        narrower = _common(gutters, line) if _follows(taken[-1][0], line) else []
        if len(narrower) < len(gutters):
            break
        gutters = narrower
        taken.append((line, count))
    rows = [_cells(line, gutters) for line, _ in taken]
    while rows and sum(map(bool, rows[-1])) < 2:  # text behind the table
        rows.pop()
        taken.pop()
    whole = _with_wrapped(rows)
    full = sum(sum(map(bool, row)) > 1 for row in whole)
    if full < _MIN_ROWS or 2 * len(whole) < len(rows) or _is_prose(whole):
        return None
    return tuple(whole), sum(count for _, count in taken)


def _side_by_side(lines: list[Line], start: int) -> Iterator[tuple[Line, int]]:
    """Lines with what stands on their right, which may be a line of its own, and how many it is."""
    row, count = lines[start], 1
    for line in lines[start + 1 :]:
        is_beside = line.page == row.page and abs(line.top - row.top) < 0.3 * row.size
        if is_beside and line.left > row.right and count < _MAX_COLUMNS:
            row, count = replace(row, words=row.words + line.words, right=line.right), count + 1
        else:
            yield row, count
            row, count = line, 1
    yield row, count


def _gutters(lines: Sequence[Line]) -> list[_Gap]:
    """What is empty in all of some lines, between words of each."""
    if len(lines) < _MIN_ROWS or any(_LABEL.fullmatch(line.words[0].text) for line in lines
                                     if line.words):  # fmt: skip
        return []
    first = lines[0]
    gutters = [
        (one.right, other.left)
        for one, other in pairwise(first.words)
        if other.left - one.right >= _GUTTER * first.size
    ]
    for before, line in pairwise(lines):
        gutters = _common(gutters, line) if gutters and _follows(before, line) else []
    wide = [
        gutter
        for gutter in gutters
        if sum(_width_at(line.words, gutter) >= _WIDE_GUTTER * line.size for line in lines) * 2
        >= len(lines)
    ]
    # Else the first line is a sentence above the table.
    heads = any(_width_at(first.words, gutter) >= _WIDE_GUTTER * first.size for gutter in wide)
    return wide if heads else []


def _follows(before: Line, line: Line) -> bool:
    """Whether a line may be the next row of a table."""
    return (
        line.page == before.page
        and bool(line.words)
        and 0.5 * line.size < before.top - line.top < _MAX_PITCH * line.size
        and abs(line.size - before.size) <= 0.15 * before.size
    )


def _common(gutters: list[_Gap], line: Line) -> list[_Gap]:
    """Gutters as far as a line leaves them empty too."""
    edges = [float("-inf"), *(edge for word in line.words for edge in (word.left, word.right)),
             float("inf")]  # fmt: skip
    empty = list(zip(edges[::2], edges[1::2], strict=True))
    found = []
    for left, right in gutters:
        shared = [(max(left, start), min(right, end)) for start, end in empty]
        widest = max(shared, key=lambda gap: gap[1] - gap[0])
        if widest[1] - widest[0] >= _GUTTER * line.size:
            found.append(widest)
    return found


def _width_at(words: Sequence[Word], gutter: _Gap) -> float:
    """How far the words around a gutter are apart; 0 if there are none on one side."""
    before = [word.right for word in words if word.right <= gutter[0] + 0.1]
    behind = [word.left for word in words if word.left >= gutter[1] - 0.1]
    return min(behind) - max(before) if before and behind else 0.0


def _cells(line: Line, gutters: list[_Gap]) -> list[str]:
    cells: list[list[str]] = [[] for _ in range(len(gutters) + 1)]
    for word in line.words:
        cells[sum(gutter[0] < word.left for gutter in gutters)].append(word.text)
    return [" ".join(cell) for cell in cells]


def _with_wrapped(rows: list[list[str]]) -> list[Row]:
    """Rows with the second lines of their cells: those in which a later cell stands alone."""
    whole: list[Row] = []
    for row in rows:
        filled = [place for place, cell in enumerate(row) if cell]
        if whole and len(filled) == 1 and filled[0] > 0:
            cells = zip(whole.pop(), row, strict=True)
            whole.append(tuple(f"{above} {cell}".strip() for above, cell in cells))
        else:
            whole.append(tuple(row))
    return whole


def _is_prose(rows: Sequence[Sequence[str]]) -> bool:
    """Whether two columns are running text."""
    wordy = [
        median(len(cell.split()) for cell in column) > _MAX_WORDS_OF_ROW
        for column in zip(*rows, strict=True)
    ]
    return sum(wordy) > 1
