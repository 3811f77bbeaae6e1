"""Instructions out of headings: question forms, variety, and nothing of the answer in them."""

import re

import pytest

from twin.datasets.instructions import gives_away, instructions


def asked(heading, phrases=("pod templates",), title="On running jobs"):
    return list(instructions(title, (heading,) if heading else (), list(phrases), "7:chunk"))


@pytest.mark.parametrize(
    "heading",
    ["Why are there two replicas?", "How chunks are cut", "Rolling back safely", "The router"],
)
def test_each_kind_of_heading_is_asked_for_in_at_least_eight_ways(heading):
    found = asked(heading)
    assert len(found) >= 8
    assert len(set(found)) == len(found)
    for text in found:
        assert text[0].isupper()
        assert text[-1] in ".?"
        assert "{" not in text


def test_a_question_stays_the_question():
    found = asked("Why are there two replicas?")
    assert "Why are there two replicas?" in found
    assert "In your experience, why are there two replicas?" in found
    assert all("why are there two replicas?" in text.lower() for text in found)


def test_why_and_a_noun_becomes_a_choice():
    assert "Why do you use pods?" in asked("Why pods")
    assert "Why do you use LoRA?" in asked("Why LoRA")


def test_a_clause_is_explained_and_a_doing_is_gone_about():
    assert "Explain how chunks are cut." in asked("How Chunks are Cut")
    assert "How do you go about rolling back safely?" in asked("Rolling Back Safely")
    assert "What do you think about the router?" in asked("The router")


def test_the_title_stands_in_where_there_is_no_heading():
    assert "What do you think about on running jobs?" in asked("")


def test_marks_and_numbers_of_headings_are_left_out():
    found = asked("2.1 The `router` and its *weights*")
    assert "Explain the router and its weights." in found


def test_key_phrases_widen_the_choice():
    assert any("pod templates" in text for text in asked("The router"))
    assert len(asked("The router", ["a b", "c d"])) > len(asked("The router", ["a b"]))
    assert not any("{phrase}" in text or "  " in text for text in asked("The router", []))


def test_the_order_is_drawn_from_the_seed():
    ways = [next(instructions("T", ("The router",), [], f"13:{n}")) for n in range(40)]
    assert len(set(ways)) >= 6
    again = [next(instructions("T", ("The router",), [], f"13:{n}")) for n in range(40)]
    assert ways == again


def test_giving_away_is_six_words_in_a_row():
    answer = "I keep one pod for each job because rooms should not be shared."
    assert gives_away("Is it true that I keep one pod for each job?", answer)
    assert not gives_away("Why one pod for each job?", answer)
    assert not gives_away("Why?", "Short.")


def test_nobody_can_break_out_of_a_template():
    found = asked("The {phrase} of {0}")
    assert found
    assert all(re.search(r"\{phrase\} of \{0\}", text) for text in found)
