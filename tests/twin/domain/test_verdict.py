"""What people say of a sample, taken together."""

import pytest
from pydantic import ValidationError

from tests.twin.datasets.sets import FOLLOW_UP
from twin.domain.conversation import Turn
from twin.domain.verdict import Decision, Opinion, Verdict, digest_of


def verdict(*opinions):
    return Verdict(sample="s", seen="x", document_id="d", opinions=opinions)


def opinion(person, decision, **fields):
    return Opinion(person=person, decision=decision, **fields)


KEEP, REJECT, EDIT = (
    opinion("1", Decision.KEEP),
    opinion("2", Decision.REJECT, reason="wrong answer"),
    opinion("3", Decision.EDIT, answer="Six."),
)


def test_what_most_people_say_counts():
    assert verdict(KEEP).decision is Decision.KEEP
    assert verdict(KEEP, REJECT, opinion("3", Decision.KEEP)).decision is Decision.KEEP


def test_as_many_of_one_as_of_another_is_no_decision():
    tied = verdict(KEEP, REJECT)
    assert tied.decision is None
    assert tied.reason == "people disagree"
    assert verdict(KEEP, REJECT, EDIT).decision is None
    more = verdict(KEEP, REJECT, opinion("3", Decision.REJECT), opinion("4", Decision.KEEP), EDIT)
    assert more.decision is None


def test_the_reason_that_most_give():
    others = [
        opinion("4", Decision.REJECT, reason="other"),
        opinion("5", Decision.REJECT, reason="other"),
        opinion("6", Decision.KEEP, reason="wrong answer"),
    ]
    assert verdict(REJECT, *others).reason == "other"
    assert verdict(opinion("1", Decision.REJECT)).reason == "no reason given"


def test_the_newest_edit():
    assert verdict(EDIT, opinion("4", Decision.EDIT, answer="6."), KEEP).answer == "6."


def test_there_is_at_least_one_opinion():
    with pytest.raises(ValidationError):
        verdict()


def test_a_verdict_is_on_question_turns_and_answer():
    seen = digest_of(FOLLOW_UP)
    assert digest_of(FOLLOW_UP.model_copy(update={"context": ("Other.",)})) == seen
    for change in (
        {"answer": "x"},
        {"instruction": "x"},
        {"history": (Turn(role="user", content="x"),)},
    ):
        assert digest_of(FOLLOW_UP.model_copy(update=change)) != seen
