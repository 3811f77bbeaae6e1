"""Questions that a person wrote: what each kind needs, and what a right answer is."""

import pytest
from pydantic import ValidationError

from twin.domain.written import QuestionKind, WrittenQuestion, is_right, missing_facts

GOOD = {
    "kind": "fact",
    "question": "On which port?",
    "answer": "On port 8000, behind a key.",
    "support": [{"document": "endpoint", "quote": "on port 8000"}],
    "facts": ["8000", "re:keys?"],
}
UNANSWERABLE = {"kind": "unanswerable", "question": "What does it cost?", "document": "endpoint"}
REFUSAL = "I have not written about that."


def asked(**changes):
    fields = {**GOOD, **changes}
    return WrittenQuestion.model_validate({k: v for k, v in fields.items() if v is not None})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"answer": " "}, "the answer is missing"),
        ({"support": []}, "support is missing"),
        ({"facts": []}, "facts are missing"),
        ({"facts": ["800"]}, "does not contain its own fact '800'"),
        ({"facts": ["re:("]}, "is not a regular expression"),
        ({"kind": "follow-up"}, "needs its history"),
        ({"kind": "riddle"}, "Input should be"),
        ({"question": ""}, "at least 1 character"),
        ({"fact": ["8000"]}, "Extra inputs"),
        ({"kind": "unanswerable"}, "has no answer, support or facts"),
    ],
)
def test_what_is_missing_or_wrong_is_said(changes, told):
    with pytest.raises(ValidationError, match=told):
        asked(**changes)


def test_an_unanswerable_question_names_what_it_is_near():
    assert WrittenQuestion.model_validate(UNANSWERABLE).kind is QuestionKind.UNANSWERABLE
    with pytest.raises(ValidationError, match="needs the document that it is near"):
        WrittenQuestion.model_validate({**UNANSWERABLE, "document": ""})
    for field in ("answer", "facts", "support"):
        with pytest.raises(ValidationError, match="leave them out"):
            WrittenQuestion.model_validate({**UNANSWERABLE, field: GOOD[field]})


def test_a_follow_up_has_its_history():
    history = [{"question": "Is there a port?", "answer": "There is."}]
    assert asked(kind="follow-up", history=history).history[0].answer == "There is."


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        ("Port 8000 it is, with a key", []),
        ("PORT   8000, no KEYS", []),
        ("Port 80001, key", ["8000"]),
        ("Port 8000", ["re:keys?"]),
        ("", ["8000", "re:keys?"]),
    ],
)
def test_facts_stand_as_whole_words_whatever_case_and_blanks(answer, missing):
    assert missing_facts(answer, ("8000", "re:keys?")) == missing


def test_a_fact_may_begin_and_end_with_signs_and_span_a_line_break():
    assert not missing_facts("Use `--to 5` for\n  that.", ("--to 5", "for that"))
    assert missing_facts("Use `--to 55`", ("--to 5",)) == ["--to 5"]


def test_a_right_answer_refuses_exactly_where_there_is_nothing_to_say():
    question, other = asked(), WrittenQuestion.model_validate(UNANSWERABLE)
    assert is_right(question, "8000, with a key", REFUSAL)
    assert not is_right(question, "8000", REFUSAL)
    assert not is_right(question, f"8000, with a key. {REFUSAL}", REFUSAL)
    assert is_right(other, f" {REFUSAL.upper()} Sorry. ", REFUSAL)
    assert not is_right(other, "8000, with a key", REFUSAL)
