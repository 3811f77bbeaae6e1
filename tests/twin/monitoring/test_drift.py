"""What callers ask and are told, window against window."""

import numpy as np
import pytest

from tests.twin.monitoring.seen import answer
from twin.domain.monitoring import Standing
from twin.monitoring import drift
from twin.recipes.monitoring import DriftSection

SECTION = DriftSection(least_units=8)
GERMAN = "Wie werden die Abschnitte eines langen Dokuments geschnitten, und warum gerade so?"
ENGLISH = "How are the sections of a long document cut into chunks, and why exactly like that?"


def encode(questions):
    """A vector by the question's first word, with a little noise of its own."""
    found = []
    for question in questions:
        axis = sum(map(ord, question.split()[0])) % 7
        noise = np.random.default_rng(abs(hash(question)) % 2**32).normal(0, 0.3, 7)
        vector = np.eye(7)[axis] + noise
        found.append(list(vector / np.linalg.norm(vector)))
    return found


def window(callers, name="c", **more):
    return [answer(f"{name}{number}", **more) for number in range(callers)]


def standings(before, after, section=SECTION):
    return {each.name: each.standing for each in drift.drift(before, after, encode, section)}


def test_each_kind_of_drift_is_told_from_the_others():
    before = [
        answer(f"a{number}", question=f"pods {ENGLISH}", characters=90 + number % 20)
        for number in range(30)
    ]
    same = [each.model_copy(update={"caller": f"b{n}"}) for n, each in enumerate(before[:12])]
    assert set(standings(before, same).values()) == {Standing.GOOD}

    def only(**change):
        changed = [each.model_copy(update=change) for each in same]
        return [name for name, each in standings(before, changed).items() if each is Standing.BAD]

    assert only(characters=900) == ["drift.answer_length"]
    assert only(grounded=False) == ["drift.grounded"]
    assert only(question=f"prices {ENGLISH}") == ["drift.questions"]
    assert set(only(question=f"pods {GERMAN}")) >= {"drift.languages"}


@pytest.mark.parametrize(("before", "after"), [(7, 30), (30, 7)])
def test_too_few_callers_say_nothing_and_load_no_embedder(before, after):
    def unused(_):
        raise AssertionError("the embedder was asked")

    found = drift.drift(window(before), window(after, "d"), unused, SECTION)
    assert {each.standing for each in found} == {Standing.UNKNOWN}
    assert [each.name for each in found] == list(drift.ALL)
    assert Standing.UNKNOWN not in standings(window(8), window(8, "d")).values()


def test_one_caller_does_not_make_drift():
    before = [answer(f"a{n}", question="pods are what?") for n in range(30)]
    after = [answer(f"b{n}", question="pods are what?") for n in range(10)]
    flood = [answer("troll", question="prices?", characters=9_000, grounded=False)] * 500
    assert Standing.BAD not in standings(before, after + flood).values()


def test_nothing_is_found_where_callers_only_ask_more_rarely_than_before():
    """Means of fourteen questions lie closer together than single ones: that is no drift."""
    section = DriftSection(least_units=8, alpha=0.05, least=0)
    drawing = np.random.default_rng(4)
    looks, found = 150, []

    def asked(callers, each):
        return [
            answer(f"c{n % callers}", id=str(drawing.random()), characters=drawing.integers(9_000))
            for n in range(callers * each)
        ]

    for _ in range(looks):
        measures = drift.drift(
            asked(40, 14),
            asked(8, 1),
            lambda questions: list(drawing.normal(0, 1, (len(questions), 7))),
            section,
        )
        found += [each.standing is Standing.BAD for each in measures
                  if each.name in (drift.QUESTIONS, drift.LENGTH)]  # fmt: skip
    assert 0.02 < np.mean(found) < 0.1


def test_conversations_count_where_one_key_stands_for_many():
    section = DriftSection(unit="conversation")
    before = [answer("site", question=f"pods {number}") for number in range(20)]
    after = [answer("site", question=f"prices {number}") for number in range(20)]
    assert standings(before, after)["drift.questions"] is Standing.UNKNOWN
    assert standings(before, after, section)["drift.questions"] is Standing.BAD


@pytest.mark.parametrize("knob", [{"alpha": 0.0002}, {"least": 0.999}])
def test_it_has_to_be_both_unlikely_and_large(knob):
    before = [answer(f"a{n}", question=f"pods {n}") for n in range(20)]
    after = [answer(f"b{n}", question=f"prices {n}") for n in range(20)]
    assert standings(before, after)["drift.questions"] is Standing.BAD
    section = SECTION.model_copy(update=knob)
    assert standings(before, after, section)["drift.questions"] is Standing.GOOD
