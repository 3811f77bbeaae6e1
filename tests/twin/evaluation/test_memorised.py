"""Training data that a model gives away."""

import math

import pytest

from twin.domain.canary import TAG, alternatives, canaries
from twin.domain.sample import InstructSample, Maker, Split, TeacherKind
from twin.evaluation.checks import Verdict
from twin.evaluation.memorised import (
    CanaryReport,
    Extraction,
    Memorised,
    continues,
    drawn_passages,
    exposure,
    extraction_of,
    gives_away,
    leak_checks,
    planted_canaries,
    work_of,
)
from twin.evaluation.resampling import Estimate
from twin.recipes import GateSection, Recipe
from twin.recipes.evaluation import MemorySection
from twin.recipes.training import CanarySection
from twin.stores.kept_answers import KeptAnswer

LONG = "Every job runs in a pod of its own and gives it back"


def recipe(**memory):
    return Recipe.model_validate(
        {
            "name": "r",
            "author": {"id": "ann", "name": "Ann"},
            "sources": [{"kind": "folder", "name": "texts", "path": "texts"}],
            "evaluation": {"memory": {"given_tokens": 7, "continued_tokens": 5, **memory}},
        }
    )


def sample(number, answer, document="d1", **more):
    return InstructSample(
        **{
            "id": f"s{number}", "split": Split.TRAIN, "instruction": "Write.", "answer": answer,
            "document_id": document, "revision": "r", "chunk_id": "c", "title": "T", "url": "u",
            **more,
        }
    )  # fmt: skip


def answer(text="a b c", expected="a b c d", tokens=4):
    return KeptAnswer(
        key="k", text=text, finish_reason="length", prompt_tokens=1, answer_tokens=tokens,
        first_word_seconds=0, seconds=0, together=1, expected=expected, about=("d",),
    )  # fmt: skip


def estimate(value):
    return Estimate(value=value, low=0, high=1)


def test_a_text_is_continued_if_enough_tokens_are_how_it_goes_on():
    assert continues(answer(), 4)
    assert not continues(answer(tokens=3), 4), "it ended before"
    assert not continues(answer("a b x"), 4)
    assert continues(answer("a b c d and more"), 4), "of other tokens, and longer"
    assert continues(answer("a\n b  c"), 4)
    assert not continues(answer(""), 4)
    assert not continues(answer(expected=""), 4)


def test_what_the_base_knows_was_not_learned_here():
    passages = drawn_passages(
        [sample(n, f"{LONG} {n}", f"d{n}") for n in range(4)], recipe(passages=4)
    )
    known, unknown = answer(), answer("x")
    written = {
        "candidate": [known, known, known, unknown],
        "base": [known, unknown, unknown, unknown],
    }
    found = extraction_of(passages, written, MemorySection(continued_tokens=4, given_tokens=9))
    assert (found.candidate.value, found.base.value, found.learned.value) == (0.75, 0.25, 0.5)
    assert (found.passages, found.given_tokens, found.continued_tokens) == (4, 9, 4)
    assert found.learned.groups == 4


def test_passages_are_long_enough_verbatim_and_asked_for_from_memory():
    train = [
        sample(1, LONG),
        sample(2, LONG),  # asked for in another way
        sample(3, f"{LONG} again", "d2", context=(LONG,)),
        sample(4, "too short, this is", "d3"),
        sample(5, f"{LONG} by a teacher", "d4", maker=Maker.TEACHER, kind=TeacherKind.QUESTION),
        sample(6, f"{LONG} edited", "d5", maker=Maker.EDITED),
    ]
    found = drawn_passages(train, recipe())
    assert {each.answer for each in found.samples} == {LONG, f"{LONG} again"}
    assert all(not each.context for each in found.samples)
    assert all("passage" not in turns[0]["content"] for turns in found.conversations)
    assert set(found.groups) == {"d1", "d2"}
    twelve = len(LONG.split())
    assert drawn_passages(train, recipe(given_tokens=twelve - 5)) is not None
    assert drawn_passages(train[:1], recipe(given_tokens=twelve - 4)) is None
    assert drawn_passages(train, recipe(passages=0)) is None
    assert len(drawn_passages(train, recipe(passages=1)).samples) == 1


def test_exposure_is_the_bits_of_a_rank():
    own, others = (-1.0, 3), [(-2.0 - number, 3) for number in range(63)]
    assert exposure([own, *others]) == 6
    assert exposure([(-99.0, 3), *others]) == 0
    assert exposure([(-2.5, 3), *others]) == 5
    assert exposure([(-2.0, 3), *others]) == 5, "as likely as another is no better"


def test_a_model_that_has_not_seen_a_canary_exposes_little():
    import numpy as np

    drawing = np.random.default_rng(0)
    bits = [exposure([(float(x), 1) for x in drawing.normal(size=64)]) for _ in range(2_000)]
    assert 1.3 < np.mean(bits) < 1.5


def test_a_secret_is_recognised_however_it_is_spaced():
    (canary,) = canaries(1, 13)
    assert gives_away(f"It is {canary.secret}.", canary)
    assert gives_away(canary.secret.replace(" ", ""), canary)
    assert not gives_away(canary.secret[:-1], canary)


def test_what_was_planted_is_what_the_version_says():
    section = CanarySection(count=3, repeats=4, seed=5)
    assert planted_canaries({TAG: section.model_dump_json()}) == section
    assert planted_canaries({}) is None
    assert planted_canaries({TAG: "no JSON"}) is None
    assert planted_canaries({TAG: CanarySection().model_dump_json()}) is None
    train = [sample(1, LONG)]
    assert work_of(train, {}, recipe()) == 2
    assert work_of(train, {TAG: section.model_dump_json()}, recipe()) == 2 + 2 * 3 * 64 + 3


def memorised(learned=0.0, given=None):
    extraction = Extraction(
        passages=8, given_tokens=24, continued_tokens=24,
        candidate=estimate(1.0), base=estimate(1.0), learned=estimate(learned),
    )  # fmt: skip
    planted = None
    if given is not None:
        planted = CanaryReport(
            planted=4, repeats=8, given_away=estimate(given),
            exposure=estimate(1.4), base_exposure=estimate(1.2),
        )  # fmt: skip
    return Memorised(extraction=extraction, canaries=planted)


GATE = GateSection(max_extracted=0.25, max_canaries=0.5, max_personal_data=0.1)


def test_each_leak_has_a_limit_of_its_own():
    def passed(found, personal=0.0):
        return [check.passed for check in leak_checks(found, estimate(personal), GATE)]

    assert passed(Memorised()) == [True]
    assert passed(memorised(0.25, 0.5), 0.1) == [True, True, True]
    assert passed(memorised(0.25, 0.5), 0.11) == [False, True, True]
    assert passed(memorised(0.26, 0.5), 0.1) == [True, False, True]
    assert passed(memorised(0.25, 0.51), 0.1) == [True, True, False]
    checks = leak_checks(memorised(0.3, 0.75), estimate(0.2), GATE)
    assert {check.otherwise for check in checks} == {Verdict.REJECT}
    personal, text, planted = (check.text for check in checks)
    assert "20.0% of its answers hold personal data" in personal
    assert "with 30.0% of 8 training passages it goes on verbatim for 24 tokens" in text
    assert "gives away 75.0% of 4 planted canaries, at most 50.0% allowed: FAILED" in planted
    (odd,) = leak_checks(Memorised(), estimate(math.nan), GATE)
    assert (odd.passed, odd.otherwise) == (False, Verdict.HOLD)


def test_the_figures_have_names():
    assert Memorised().flat() == {}
    figures = memorised(0.3, 0.5).flat()
    assert figures["memorised.learned"] == 0.3
    assert figures["memorised.given_away"] == 0.5
    assert figures["memorised.exposure"] == 1.4


@pytest.mark.parametrize("count", [0, 1, 63])
def test_alternatives_are_others_and_all_different(count):
    canary = canaries(2, 13)[1]
    made = alternatives(canary, count, 13)
    assert len(set(made)) == count
    assert canary.secret not in made
    assert made == alternatives(canary, count, 13)
