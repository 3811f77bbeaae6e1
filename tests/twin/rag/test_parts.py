# ruff: noqa: RUF001 - a Chinese question mark
"""Questions in several parts and later turns, as they are searched for."""

import pytest

from twin.domain.conversation import Turn
from twin.rag.parts import leans, parts_of, standalone


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("What is a pod? How do I start one?",
         ("What is a pod?", "What is a pod? How do I start one?")),
        ("What is a release, and how many tokens does a chunk have?",
         ("What is a release", "how many tokens does a chunk have?")),
        ("How is a key rotated and which port does the page use?",
         ("How is a key rotated", "which port does the page use?")),
        ("Was ist ein Release und wie lange dauert ein Backup?",
         ("Was ist ein Release", "wie lange dauert ein Backup?")),
        ("Why do pods exist and why are they given back?",
         ("Why do pods exist", "Why do pods exist why are they given back?")),
    ],
)  # fmt: skip
def test_a_question_is_split_where_another_begins(question, parts):
    assert parts_of(question, 3) == parts


@pytest.mark.parametrize(
    "question",
    [
        "What is a pod?", "What is the difference between a pod and a job?", "Pods and jobs",
        "How do I back up and restore an index?", "It works, right?", "", "???",
        "Is it fast or slow?", "Why pods and why jobs?",
    ],
)  # fmt: skip
def test_a_question_in_one_part_stays_whole(question):
    assert parts_of(question, 3) == ()


def test_there_are_at_most_so_many_parts_and_no_word_is_lost():
    question = "What is a pod? Which port is used? Why are keys rotated? When do backups run?"
    assert len(parts_of(question, 4)) == 4
    assert parts_of(question, 2) == (
        "What is a pod?",
        "Which port is used? Why are keys rotated? When do backups run?",
    )
    assert parts_of(question, 1) == ()


HISTORY = (
    Turn(role="user", content="What is a release of the index?"),
    Turn(role="assistant", content="A folder that nobody changes."),
)


@pytest.mark.parametrize(
    "question",
    ["And why?", "Why?", "How long is it kept?", "und warum?", "What about backups?", "为什么？",
     "Tell me more", "Where do they lie?", "Really? Tell me more, please.", "In German, please",
     "Thanks. Shorter, please!", "Repeat your last answer"],
)  # fmt: skip
def test_a_turn_that_leans_is_searched_with_the_question_before_it(question):
    assert leans(question)
    assert standalone(question, HISTORY) == f"What is a release of the index? {question}"


@pytest.mark.parametrize(
    "question",
    ["What is the capital of France?", "Which port does the endpoint listen on?", "Why pods?"],
)
def test_a_turn_that_stands_alone_is_searched_alone(question):
    assert not leans(question)
    assert standalone(question, HISTORY) == question


def test_a_chain_of_turns_leads_back_to_the_question_that_stands_alone():
    more = (Turn(role="user", content="And why?"), Turn(role="assistant", content="So."))
    history = (*HISTORY, *more)
    assert standalone("How long is it kept?", history) == (
        "What is a release of the index? And why? How long is it kept?"
    )


def test_without_an_earlier_question_a_turn_stays_as_it_is():
    assert standalone("And why?", ()) == "And why?"
