"""Overlap: the last sentences of a chunk, said again at the beginning of its section's next.

Off unless the recipe asks for it: headings and neighbours give context without storing it twice.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from twin.features.markdown import blocks_of
from twin.features.packing import Span

_SENTENCE_START = re.compile(r"(?<=[.!?\u2026])[\"'\u201d\u2019)\]*_]*\s+(?=\S)")

#: Blocks within which an overlap may begin; others are taken whole or not at all.
_PROSE = ("paragraph", "other")


def overlapping(
    text: str, spans: Sequence[Span], tokens: int, count: Callable[[str], int]
) -> list[Span]:
    """The spans, each begun earlier by at most ``tokens`` where its section goes on.

    ``count`` gives the tokens of a text alone, without special tokens.
    """
    if not tokens or not spans:
        return list(spans)
    starts = sorted(_starts(text))
    found = [spans[0]]
    for before, span in pairwise(spans):
        start = span.start
        if span.path == before.path:
            between = slice(bisect_right(starts, before.start), bisect_left(starts, span.start))
            for earlier in reversed(starts[between]):
                if count(text[earlier : span.start]) > tokens:
                    break
                start = earlier
        found.append(replace(span, start=start))
    return found


def _starts(text: str) -> list[int]:
    """Where blocks begin, and sentences of prose."""
    starts = []
    for block in blocks_of(text):
        starts.append(block.start)
        if block.kind in _PROSE:
            found = _SENTENCE_START.finditer(text, block.start, block.end)
            starts += [match.end() for match in found]
    return starts
