"""Captions that roll: each cue shows the end of the one before once more, then goes on.

That is how captions of live and automatic sources look, which keep a line or some words on the
screen while the next ones come. A speaker repeats words, too; so a few words are taken for a
repetition only in a file that rolls as a rule, or where cues overlap in time.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

#: Scripts without blanks count by their characters.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+(?:['\u2019]\w+)*")
_CHARACTER = re.compile(rf"[{_UNSPACED}]")
#: What may end a sentence or clause, and blanks.
_MARKS = " \t,.;:!?\u2026\u3001\u3002\uff0c\uff01\uff1f\"'\u201d\u2019)]}\u300d"
#: Fewest words of a repetition in a file that rolls, and elsewhere; twice as many characters.
_FEWEST = 2
_FEWEST_ELSEWHERE = 4
#: A file rolls if more than this share of its cues repeat some of the one before.
_ROLLING = 0.5
_FEWEST_CUES = 3


@dataclass(frozen=True)
class Cue:
    """What a cue shows, when, in seconds, and who says it."""

    lines: tuple[str, ...]
    start: float
    end: float
    speaker: str | None = None


def fresh_lines(cues: Sequence[Cue]) -> list[list[str]]:
    """The lines of each cue without what the one before has shown."""
    tokens = [_tokens(cue.lines) for cue in cues]
    is_rolling = _rolls(tokens)
    fresh = [list(cue.lines) for cue in cues]
    for place, (before, now) in enumerate(pairwise(cues), 1):
        if now.speaker != before.speaker:
            continue
        count = _repeated(tokens[place - 1], tokens[place])
        overlaps = now.start < before.end
        fewest = _FEWEST if is_rolling else _FEWEST_ELSEWHERE
        is_whole = is_rolling and count == len(tokens[place - 1])
        if (is_rolling or overlaps) and (is_whole or _is_long(tokens[place][:count], fewest)):
            marks, fresh[place] = _without(now.lines, count)
            if marks and fresh[place - 1] and fresh[place - 1][-1][-1].isalnum():
                fresh[place - 1][-1] += marks
    return fresh


def _rolls(tokens: Sequence[Sequence[str]]) -> bool:
    spoken = [words for words in tokens if words]
    if len(spoken) < _FEWEST_CUES:
        return False
    counts = [_repeated(one, other) for one, other in pairwise(spoken)]
    rolling = sum(
        _is_long(words[:count], _FEWEST) for count, words in zip(counts, spoken[1:], strict=True)
    )
    return rolling > _ROLLING * len(counts)


def _is_long(words: Sequence[str], fewest: int) -> bool:
    """Whether so many words, or twice as many characters of a script without blanks."""
    weight = sum(0.5 if _CHARACTER.fullmatch(word) else 1 for word in words)
    return weight >= fewest


def _repeated(before: Sequence[str], now: Sequence[str]) -> int:
    """How many words at the end of one cue are those at the beginning of the next."""
    most = min(len(before), len(now))
    return next((n for n in range(most, 0, -1) if before[-n:] == now[:n]), 0)


def _tokens(lines: Iterable[str]) -> list[str]:
    return [match[0].casefold() for line in lines for match in _TOKEN.finditer(line)]


def _without(lines: Iterable[str], count: int) -> tuple[str, list[str]]:
    """The marks behind the first words of some lines, and the lines without both."""
    marks, rest = "", []
    for line in lines:
        ends = [match.end() for match in _TOKEN.finditer(line)]
        cut = min(count, len(ends))
        if cut == 0:
            rest.append(line)
            continue
        count -= cut
        behind = line[ends[cut - 1] :]
        words = behind.lstrip(_MARKS)
        marks = behind[: len(behind) - len(words)].strip()
        if words:
            rest.append(words)
    return marks, rest
