"""Formulas that stand by themselves, as blocks of Markdown: in them, nothing is a heading."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.rules_block import StateBlock

_OPENING = re.compile(r"\$\$|\\{1,2}\[|\\begin\{(?P<environment>[A-Za-z]+\*?)\}")
_MAX_INDENT = 3  # columns: with more, it is code


def formula_rule(state: "StateBlock", first: int, last: int, silent: bool) -> bool:
    """A rule of markdown-it: from ``$$``, ``\\[`` or ``\\begin{…}`` to what ends it.

    A blank line ends the search, so that a formula without end is a paragraph, and what follows
    is read as if it were not there.
    """
    if state.sCount[first] - state.blkIndent > _MAX_INDENT:
        return False
    line = _line(state, first)
    match = _OPENING.match(line)
    if match is None:
        return False
    closing = _closing(match)
    end = _end(state, first, last, line[match.end() :], closing)
    if end is None:
        return False
    if not silent:
        state.line = end + 1
        token = state.push("formula", "", 0)
        token.map = [first, end + 1]
        token.content = state.getLines(first, end + 1, state.blkIndent, True)
    return True


def _line(state: "StateBlock", number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]


def _closing(match: re.Match[str]) -> str:
    if match["environment"]:
        return f"\\end{{{match['environment']}}}"
    return "$$" if match[0] == "$$" else match[0].replace("[", "]")


def _end(state: "StateBlock", first: int, last: int, rest: str, closing: str) -> int | None:
    """The line that a formula ends with; None if it has no end, or text stands behind that."""
    for number in range(first, last):
        line = rest if number == first else _line(state, number)
        if number > first and (not line.strip() or state.sCount[number] < state.blkIndent):
            return None
        if closing in line:
            behind = line[line.index(closing) + len(closing) :].strip()
            return number if not behind.strip(".,;:") else None
    return None
