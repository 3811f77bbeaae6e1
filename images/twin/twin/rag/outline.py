"""The points of a draft: from a list in the notes, from passages' headings, from a model's JSON.

A point stands in the instruction that a section is written by. What comes from passages is data, so
a heading that talks to the model is no point; a caller's own words are an instruction anyway.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence

from twin.domain.answer import Passage
from twin.domain.draft import LONGEST_POINT
from twin.text.injection import injections

FEWEST_POINTS = 2
"""Items that make a list of points; a single one may be any line that begins with a dash."""

_ITEM = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+(\S.*)$", re.MULTILINE)


def points_of_notes(notes: str, most: int) -> tuple[str, ...]:
    """The items of a list in the notes, in their order; none where there is no list."""
    found = _distinct((item[1] for item in _ITEM.finditer(notes)), most)
    return found if len(found) >= FEWEST_POINTS else ()


def points_of_passages(passages: Sequence[Passage], most: int) -> tuple[str, ...]:
    """The innermost headings of passages, best first; of one without any its title."""
    innermost = ((each.title, *each.headings)[-1] for each in passages)
    return _distinct(_harmless(innermost), most)


def points_of_json(text: str, most: int) -> tuple[str, ...]:
    """The points that a model has written as JSON; none where they can't be read."""
    try:
        points = json.loads(text)["points"]
    except (ValueError, KeyError, TypeError):
        return ()
    texts = points if isinstance(points, list) else ()
    return _distinct(_harmless(text for text in texts if isinstance(text, str)), most)


def one_line(text: str) -> str:
    """A text as a heading can be: on one line, not too long, without marks of headings."""
    line = " ".join(text.split()).lstrip("# ")
    return line if len(line) <= LONGEST_POINT else f"{line[: LONGEST_POINT - 1].rstrip()}…"


def _harmless(texts: Iterable[str]) -> Iterator[str]:
    return (text for text in texts if not injections(text))


def _distinct(texts: Iterable[str], most: int) -> tuple[str, ...]:
    """The first texts that say something, each once whatever its case."""
    found: dict[str, str] = {}
    for line in map(one_line, texts):
        if line:
            found.setdefault(line.casefold(), line)
    return tuple(found.values())[:most]
