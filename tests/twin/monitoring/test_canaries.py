"""Questions with known answers."""

import pytest

from twin.domain.errors import BadDataError, TryAgainError
from twin.domain.monitoring import Standing
from twin.domain.sample import InstructSample, Split
from twin.monitoring.canaries import Asked, ask_all, canaries, drawn, remembered
from twin.recipes.monitoring import CanaryQuestion

REFUSAL = "I have not written about that."
POD = CanaryQuestion(question="Where does a job run?", facts=("pod",))
MOON = CanaryQuestion(question="How far is the moon?")


def right(*answers):
    told = iter(answers)
    return [each.right for each in ask_all([POD, MOON], lambda _: next(told), REFUSAL)]


def test_an_answer_has_its_facts_and_what_is_not_written_about_is_refused():
    assert right("In a pod.", REFUSAL) == [True, True]
    assert right("In a container.", "Far.") == [False, False]
    assert right(f"A pod? {REFUSAL}", "Far.") == [False, False]


def test_a_question_that_is_refused_is_wrong_and_an_endpoint_that_is_away_is_not():
    def refuses(_):
        raise BadDataError("too long")

    def away(_):
        raise TryAgainError("does not answer")

    assert [each.right for each in ask_all([POD], refuses, REFUSAL)] == [False]
    with pytest.raises(TryAgainError):
        ask_all([POD], away, REFUSAL)


def test_a_question_that_was_right_once_must_stay_right():
    first = [Asked("a", True), Asked("b", False)]
    assert canaries(first, {}).standing is Standing.GOOD
    before = remembered(first, {})
    worse = [Asked("a", False), Asked("b", False)]
    found = canaries(worse, before)
    assert (found.standing, found.value, found.reference) == (Standing.BAD, 0.0, 0.5)
    assert "'a'" in found.says
    # It was right once, whatever it is now.
    assert canaries(worse, remembered(worse, before)).standing is Standing.BAD
    better = remembered([Asked("b", True)], before)
    assert canaries([Asked("b", False)], better).standing is Standing.BAD
    assert len(better) == 1


def test_no_questions_are_no_failure():
    assert canaries([], {}).standing is Standing.UNKNOWN


def sample(identity, **more):
    return InstructSample(
        **{
            "id": identity, "split": Split.TEST, "instruction": f"Q{identity}?", "answer": "A",
            "document_id": "d", "revision": "r", "chunk_id": "c", "title": "t", "url": "u", **more,
        }
    )  # fmt: skip


def test_only_held_out_questions_whose_answer_is_known_are_drawn():
    samples = [
        sample("1", facts=("a",)),
        sample("2"),
        sample("3", kind="unanswerable"),
        sample("4", facts=("a",), history=({"role": "user", "content": "x"},)),
        *(sample(f"5{n}", facts=("b",)) for n in range(10)),
    ]
    found = drawn(samples, 20)
    assert len(found) == 12
    assert {each.question for each in found}.isdisjoint({"Q2?", "Q4?"})
    assert drawn(list(reversed(samples)), 3) == found[:3]
