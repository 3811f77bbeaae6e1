"""Lines that begin like furniture and are the author's, by where they stand.

"We use cookies to carry the number of the session." between two paragraphs is a sentence of the
text; in a box of its own it is a banner. "Search" over a paragraph is a heading of the text; over
a field it is a label.
"""

import re
from collections.abc import Iterable, Sequence

from twin.crawl.formats.furniture import READERS, is_boilerplate, sells
from twin.crawl.formats.html_runs import Place, Run

_SENTENCE_END = tuple('.!?…:"”’»。！？：)')  # noqa: RUF001
_MIN_WORDS = 8
_MIN_CHARACTERS = 45
_MAX_LINK_SHARE = 0.2
_OF_READERS = re.compile(
    rf"\b(?:{'|'.join(sorted(READERS))}|responses?|discussion)\b", re.IGNORECASE
)


def mark_own_words(runs: Sequence[Run]) -> None:
    """Mark the runs that stand among paragraphs of prose as those do (`Run.own`)."""
    inside: dict[Place, list[Run]] = {}
    for run in runs:
        place = run.place
        if place.parent is not None and not place.hidden:
            holder = place.parent if place.tag == "p" or place.heading else None
            if holder is not None:
                inside.setdefault(holder, []).append(run)
    for siblings in inside.values():
        _mark(siblings)


def _mark(siblings: list[Run]) -> None:
    """Mark the own words among the paragraphs and headings of one holder."""
    prose = [number for number, run in enumerate(siblings) if _is_plain_prose(run)]
    if not prose:
        return
    first, last = prose[0], prose[-1]
    names = {siblings[number].place.names for number in prose}
    for number, run in enumerate(siblings):
        if run.place.heading:
            run.own = _is_own_heading(siblings, number, first)
        elif first < number < last:
            run.own = _is_own_sentence(run) and run.place.names in names


def _is_plain_prose(run: Run) -> bool:
    return run.place.tag == "p" and _is_sentence(run) and not is_boilerplate(run.text, run.words)


def _is_own_sentence(run: Run) -> bool:
    return _is_sentence(run) and run.linked == 0 and not sells(run.text)


def _is_sentence(run: Run) -> bool:
    long = run.words >= _MIN_WORDS or len(run.squeezed) >= _MIN_CHARACTERS
    return long and run.text.endswith(_SENTENCE_END) and run.link_share <= _MAX_LINK_SHARE


def _is_own_heading(siblings: Sequence[Run], number: int, first: int) -> bool:
    """A heading over a paragraph, behind the text's first; over what readers write, only if
    another heading of the text follows."""
    if number <= first or number + 1 >= len(siblings) or siblings[number].linked:
        return False
    below = siblings[number + 1]
    if below.place.heading or not (_is_plain_prose(below) or _is_own_sentence(below)):
        return False
    if not _OF_READERS.search(siblings[number].text):
        return True
    return _another_follows(siblings[number + 2 :])


def _another_follows(siblings: Iterable[Run]) -> bool:
    return any(
        run.place.heading and not is_boilerplate(run.text, run.words) and not run.linked
        for run in siblings
    )
