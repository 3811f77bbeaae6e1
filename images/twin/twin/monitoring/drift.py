"""Do callers ask something else than they did, and are they answered otherwise?"""

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
    """Compare two windows of answers.

    Args:
        before: the reference window.
        after: the newest window.
        encode: the embedder; not called where too few have asked.
        section: what counts.
    """
    units = [len({_unit(each, section) for each in window}) for window in (before, after)]
    if min(units) < section.least_units:
        why = f"{units[1]} {section.unit}s after {units[0]}: {section.least_units} are needed"
        return [unknown(name, why) for name in ALL]
    return [
        _measure(name, shift(*points), what, section)
        for name, what, points in _compared(before, after, encode, section)
    ]


def _compared(
    before: Sequence[SeenAnswer],
    after: Sequence[SeenAnswer],
    encode: Encode,
    section: DriftSection,
) -> Iterable[tuple[str, str, tuple[list[Point], list[Point]]]]:
    def points(window: Sequence[SeenAnswer], values: Iterable[Sequence[float]]) -> list[Point]:
        return [(_unit(each, section), value) for each, value in zip(window, values, strict=True)]

    vectors = list(encode([each.question for each in (*before, *after)]))
    yield (
        QUESTIONS,
        "what is asked",
        (points(before, vectors[: len(before)]), points(after, vectors[len(before) :])),
    )
    languages = _languages([*before, *after])
    yield (
        LANGUAGES,
        "languages of questions",
        (points(before, languages[: len(before)]), points(after, languages[len(before) :])),
    )
    scalars: dict[str, tuple[str, Callable[[SeenAnswer], float]]] = {
        LENGTH: ("length of answers", lambda each: math.log1p(each.characters)),
        GROUNDED: ("answers with a source", lambda each: float(each.grounded)),
    }
    for name, (what, value) in scalars.items():
        yield name, what, (_scalars(before, value, points), _scalars(after, value, points))


def _scalars(
    window: Sequence[SeenAnswer],
    value: Callable[[SeenAnswer], float],
    points: Callable[[Sequence[SeenAnswer], Iterable[Sequence[float]]], list[Point]],
) -> list[Point]:
    return points(window, [[value(each)] for each in window])


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
