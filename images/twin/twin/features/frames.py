"""What a table or a listing that is cut needs in each of its parts: its head, its fences.

Without them, the rows of a second chunk are cells that nothing names, and lines of code are prose.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from twin.features.markdown import Block
from twin.features.packing import Span

_FENCE = re.compile(r" {0,3}(?P<fence>`{3,}|~{3,})[^\n]*\n")
_DELIMITERS = re.compile(r"[^\n]*\n[ \t]*\|?[ \t]*:?-+:?[ \t|:-]*\n")
_MAX_SHARE = 6
"""A head that takes more than one of so many tokens of a chunk is not repeated."""


@dataclass(frozen=True)
class Frame:
    """A block, where its content begins, and what stands before and behind a part of that."""

    start: int
    content: int
    end: int
    opening: str
    closing: str


def framed(
    text: str,
    spans: Iterable[Span],
    blocks: Sequence[Block],
    budget: int,
    count: Callable[[str], int],
) -> list[Span]:
    """The spans, those that cut a table or a fenced listing with its head or fences.

    Args:
        text: the document.
        spans: of its chunks, in order.
        blocks: of the document, in order.
        budget: tokens of a chunk.
        count: tokens of a text alone.
    """
    frames = [
        frame
        for block in blocks
        if (frame := _frame_of(text, block)) is not None
        and count(frame.opening + frame.closing) * _MAX_SHARE <= budget
    ]
    starts = [frame.start for frame in frames]
    return [_framed(text, span, frames, starts) for span in spans]


def _framed(text: str, span: Span, frames: Sequence[Frame], starts: Sequence[int]) -> Span:
    opening = closing = ""
    first = bisect_right(starts, span.start) - 1
    if first >= 0 and frames[first].content <= span.start < frames[first].end:
        frame = frames[first]
        # Of the closing fence alone, nothing is made.
        opening = frame.opening if text[span.start : frame.end].strip(" `~\n") else ""
    last = bisect_right(starts, span.end - 1) - 1
    if last >= 0 and frames[last].start < span.end < frames[last].end:
        frame = frames[last]
        rest = text[span.end : frame.end]
        closing = frame.closing if span.end > frame.content or rest.strip() else ""
    return replace(span, opening=opening, closing=closing)


def _frame_of(text: str, block: Block) -> Frame | None:
    body = text[block.start : block.end]
    if block.kind == "code" and (match := _FENCE.match(body)):
        closing = f"\n{match['fence']}"
        return Frame(
            block.start, block.start + match.end(), block.end, match[0].lstrip(" "), closing
        )
    if block.kind == "table" and (match := _DELIMITERS.match(body)):
        return Frame(block.start, block.start + match.end(), block.end, match[0], "")
    return None
