"""Cutting a block that is alone over the budget, at the mildest place that is enough.

A list is cut between its items, a table between rows, code between lines, prose between
sentences; then words, and last, a run without blanks (a whole Chinese paragraph, a base64 blob),
anywhere.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from twin.features.markdown import Block

CountTokens = Callable[[str], int]
Span = tuple[int, int]
Cutter = Callable[[str, int, int, int], Iterator[Span]]

LONGEST_RUN = 64
"""Characters without a blank that are kept together; longer runs are no words. A run is shorter
where the budget is small: byte-level tokenizers take up to four tokens for one character."""

#: Where the next item of a list, not nested in another, begins.
_ITEM = re.compile(r"\n(?=(?:[-*+]|\d{1,9}[.)])\s)")
_LINE = re.compile(r"[^\n]+")
#: A full stop counts where a blank follows, perhaps after closing quotes; an ideographic one
#: (U+3002, U+FF01, U+FF1F) always.
_SENTENCE = re.compile(
    r"\S[^\n]*?(?:[.!?\u2026]+[\"'\u201d\u2019)\]*_]*(?=\s)"
    r"|[\u3002\uff01\uff1f]+[\u300d\u300f\uff09]*|$)",
    re.MULTILINE,
)


def _items(text: str, start: int, end: int, _budget: int) -> Iterator[Span]:
    begin = start
    for match in _ITEM.finditer(text, start, end):
        yield begin, match.start()
        begin = match.end()
    yield begin, end


def _lines(text: str, start: int, end: int, _budget: int) -> Iterator[Span]:
    return (match.span() for match in _LINE.finditer(text, start, end))


def _sentences(text: str, start: int, end: int, _budget: int) -> Iterator[Span]:
    return (match.span() for match in _SENTENCE.finditer(text, start, end))


def _words(text: str, start: int, end: int, budget: int) -> Iterator[Span]:
    longest = max(1, min(LONGEST_RUN, budget // 4))
    runs = re.compile(rf"\S{{1,{longest}}}")
    return (match.span() for match in runs.finditer(text, start, end))


@dataclass(frozen=True)
class Unit:
    """A span that is never cut, its tokens, and how bad it is to end a chunk after it (0 to 1)."""

    start: int
    end: int
    tokens: int
    harshness: float = 0.0


#: For each kind of block where it may be cut, the mildest place first.
_CUTTERS: dict[str, tuple[Cutter, ...]] = {
    "list": (_items, _lines, _sentences, _words),
    "table": (_lines, _words),
    "code": (_lines, _words),
}
_PROSE: tuple[Cutter, ...] = (_sentences, _words)


def units_of(text: str, block: Block, budget: int, count: CountTokens) -> list[Unit]:
    """The block as one unit, or cut into units of at most ``budget`` tokens.

    ``count`` gives the tokens of a text alone, without special tokens.
    """
    tokens = max(1, count(text[block.start : block.end]))
    if tokens <= budget:
        return [Unit(block.start, block.end, tokens)]
    cutters = _CUTTERS.get(block.kind, _PROSE)
    units = list(_cut(text, (block.start, block.end), cutters, budget, count))
    # The last one ends where the block ends, which is no harsh place.
    return [*units[:-1], replace(units[-1], harshness=0.0)]


def _cut(
    text: str, span: Span, cutters: tuple[Cutter, ...], budget: int, count: CountTokens
) -> Iterator[Unit]:
    """Cut by the first of ``cutters``, and what is still over the budget by the next ones."""
    cutter, harsher = cutters[0], cutters[1:]
    harshness = 1 - 0.25 * len(harsher)
    small: list[Unit] = []
    tokens = 0
    # Small pieces are joined, so that a list of 100,000 words is not 100,000 units.
    grain = max(1, budget // 8)
    for start, end in cutter(text, *span, budget):
        words = text[start:end]
        if not words.strip():
            continue
        unit = Unit(start, end, max(1, count(words)), harshness)
        if small and tokens + unit.tokens > grain:
            yield _joined(small)
            small, tokens = [], 0
        if unit.tokens > budget and harsher:
            yield from _cut(text, (start, end), harsher, budget, count)
        else:
            small.append(unit)
            tokens += unit.tokens
    if small:
        yield _joined(small)


def _joined(units: list[Unit]) -> Unit:
    tokens = sum(unit.tokens for unit in units)
    return Unit(units[0].start, units[-1].end, tokens, units[-1].harshness)
