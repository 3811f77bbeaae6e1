"""Tables of data as Markdown: a grid, with what a cell holds in one line."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_MAX_SPAN = 50
# Rows of a table larger than this are not filled up to the longest, which Markdown allows.
_MAX_FILLED = 2_000_000


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table, and how many columns and rows it takes."""

    text: str
    columns: int
    rows: int


def cell_of(blocks: Sequence[str], attributes: Mapping[str, str]) -> Cell:
    """A cell of blocks of Markdown: paragraphs, items and lines apart by ``<br>``, as GitHub's
    flavour has them, since a cell is one line."""
    lines = [line.rstrip() for block in blocks for line in block.split("\n") if line.strip()]
    text = "<br>".join([line if line.startswith("`") else " ".join(line.split()) for line in lines])
    return Cell(
        text.replace("|", "\\|"), _span(attributes.get("colspan")), _span(attributes.get("rowspan"))
    )


def code_in_cell(code: str) -> str:
    """Lines of code as code spans, with their indentation."""
    lines = [line.rstrip() for line in code.strip("\n").expandtabs(4).split("\n")]
    return "\n".join(code_span(line) if line else "" for line in lines)


def code_span(text: str) -> str:
    """A code span, its ticks more than any run of them inside (CommonMark 6.1)."""
    ticks = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{space}{text}{space}{ticks}"


def _span(stated: str | None) -> int:
    known = (stated or "").strip()
    return min(max(int(known), 1), _MAX_SPAN) if known.isascii() and known.isdigit() else 1


def _grid(rows: list[list[Cell]]) -> list[list[str]]:
    """Every cell in its own column; what else it spans is empty."""
    grid = []
    below: dict[int, int] = {}  # column to the rows that a cell above still takes of it
    for row in rows:
        line: list[str] = []
        spans: dict[int, int] = {}
        for cell in row:
            while below.get(len(line)):
                line.append("")
            spans |= dict.fromkeys(range(len(line), len(line) + cell.columns), cell.rows - 1)
            line += [cell.text, *[""] * (cell.columns - 1)]
        below = {column: left - 1 for column, left in below.items() if left > 1} | spans
        grid.append(line)
    return grid


def table_of(table: list[list[Cell]]) -> str:
    """Markdown of a table, its first row the head; empty if nothing is in it."""
    rows = [row for row in _grid(table) if any(row)]
    if not rows:
        return ""
    width = max(map(len, rows))
    filled = width * len(rows) <= _MAX_FILLED
    lines = [f"| {' | '.join(row + [''] * (width - len(row) if filled else 0))} |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])
