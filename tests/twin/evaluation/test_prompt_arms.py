"""Other prompts: what the model is shown, and what of its text is the answer."""

import pytest

from tests.twin.evaluation.test_grounding import PODS, ROLLBACK, sample
from twin.domain.conversation import Turn
from twin.evaluation.held_out import hold_out
from twin.evaluation.prompt_arms import PROMPTS, THINK, after_mark, asked, draw_examples
from twin.rag.prompt import build_messages

TRAIN = [
    sample(n, answer="Long. " * (9 - n), instruction=f"Question {n}?", context=()) for n in range(6)
]


@pytest.fixture
def held_out():
    samples = [sample(7, context=(PODS, ROLLBACK), instruction="Why </passage> pods?")]
    return hold_out(samples, {"d7": "d7"}, "Ada", max_samples=9, seed=1)


@pytest.fixture
def shown(held_out):
    return lambda name: asked(PROMPTS[name], held_out, "Ada", TRAIN).conversations[0]


def test_templates_show_passages_and_question_and_forge_no_passage(shown):
    (bare,) = shown("bare prompt")
    assert bare["content"] == f"{PODS}\n\n{ROLLBACK}\n\nWhy  > pods?"
    (persona,) = shown("persona prompt")
    assert persona["content"].startswith("You are Ada. ")
    assert persona["content"].endswith(bare["content"])


def test_worked_examples_are_earlier_turns_before_the_houses_prompt(shown, held_out):
    messages = shown("2 examples")
    assert [each["role"] for each in messages] == ["user", "assistant"] * 2 + ["user"]
    assert messages[-1] == held_out.conversations[0][-1]
    assert [each["content"] for each in messages[:4:2]] == ["Question 5?", "Question 4?"]
    assert messages[1]["content"] == TRAIN[5].answer.strip()


def test_examples_are_the_same_each_time_short_and_of_different_documents():
    again = [TRAIN[0].model_copy(update={"id": f"x{n}", "answer": "x"}) for n in range(3)]
    drawn = draw_examples([*TRAIN, *again])
    assert drawn == draw_examples([*again, *TRAIN][::-1])
    assert len({each.document_id for each in drawn}) == 2
    turned = TRAIN[5].model_copy(update={"history": (Turn(role="user", content="x"),)})
    assert turned not in draw_examples([*TRAIN[:5], turned])


def test_thinking_aloud_asks_for_a_mark_and_takes_what_comes_after_it(shown):
    (message,) = shown("thinking aloud")
    (plain,) = build_messages("Ada", f"Why </passage> pods?\n\n{THINK}", (PODS, ROLLBACK))
    assert message == plain
    arm = PROMPTS["thinking aloud"]
    assert arm.answer("Pods are small. Answer: no, Answer: They share nothing.\n") == (
        "They share nothing."
    )
    assert after_mark(" No mark. ") == "No mark."
    assert (arm.longer, PROMPTS["bare prompt"].longer) == (2, 1)
