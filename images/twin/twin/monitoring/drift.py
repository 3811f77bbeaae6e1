"""Do callers ask something else than they did, and are they answered otherwise?"""

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence

from twin.domain.monitoring import Measure, Standing
from twin.domain.seen_answer import SeenAnswer
from twin.monitoring.shares import unknown
from twin.monitoring.shift import Point, Shift, shift
from twin.recipes.monitoring import DriftSection
from twin.text.language import language_of

QUESTIONS = "drift.questions"
LANGUAGES = "drift.languages"
LENGTH = "drift.answer_length"
GROUNDED = "drift.grounded"
ALL = (QUESTIONS, LANGUAGES, LENGTH, GROUNDED)

Encode = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""Questions to unit vectors."""


def drift(
    before: Sequence[SeenAnswer],
    after: Sequence[SeenAnswer],
    encode: Encode,
    section: DriftSection,
) -> list[Measure]:
    """Compare two windows of answers, by one answer of each unit in each window.

    Args:
        before: the reference window.
        after: the newest window.
        encode: the embedder; not called where too few have asked.
        section: what counts.
    """
    before, after = drawn(before, section), drawn(after, section)
    units = len(before), len(after)
    if min(units) < section.least_units:
        why = f"{units[1]} {section.unit}s after {units[0]}: {section.least_units} are needed"
        return [unknown(name, why) for name in ALL]
    return [
        _measure(name, shift(*points), what, section)
        for name, what, points in _compared(before, after, encode)
    ]


def drawn(window: Sequence[SeenAnswer], section: DriftSection) -> list[SeenAnswer]:
    """One answer of each unit of a window, as if by lot: the same one each time.

    Ids are made by the endpoint, so nobody chooses which of their own questions counts.
    """
    found: dict[str, SeenAnswer] = {}
    for each in sorted(window, key=lambda answer: hashlib.sha256(answer.id.encode()).digest()):
        found.setdefault(_unit(each, section), each)
    return list(found.values())


def _compared(
    before: Sequence[SeenAnswer], after: Sequence[SeenAnswer], encode: Encode
) -> Iterable[tuple[str, str, tuple[Sequence[Point], Sequence[Point]]]]:
    both, first = [*before, *after], len(before)
    observed: dict[str, tuple[str, Sequence[Point]]] = {
        QUESTIONS: ("what is asked", encode([each.question for each in both])),
        LANGUAGES: ("languages of questions", _languages(both)),
        LENGTH: ("length of answers", [[math.log1p(each.characters)] for each in both]),
        GROUNDED: ("answers with a source", [[float(each.grounded)] for each in both]),
    }
    for name, (what, points) in observed.items():
        yield name, what, (points[:first], points[first:])


def _languages(answers: Sequence[SeenAnswer]) -> list[list[float]]:
    """Of each question one number a language: 1 for its own; none where it is too short to tell."""
    found = [language_of(each.question)[0] for each in answers]
    known = sorted({each for each in found if each})
    return [[float(language == each) for each in known] or [0.0] for language in found]


def _unit(answer: SeenAnswer, section: DriftSection) -> str:
    return answer.caller if section.unit == "caller" else answer.conversation


def _measure(name: str, found: Shift, what: str, section: DriftSection) -> Measure:
    is_bad = found.p_value < section.alpha and found.share >= section.least
    told = "differ" if is_bad else "are as before"
    return Measure(
        name=name,
        standing=Standing.BAD if is_bad else Standing.GOOD,
        value=found.share,
        reference=section.least,
        count=found.after,
        says=f"{what} {told}: {found.share:.1%} of all differences among {section.unit}s, "
        f"chance of as much {found.p_value:.3g} ({found.before} {section.unit}s, then "
        f"{found.after})",
    )
