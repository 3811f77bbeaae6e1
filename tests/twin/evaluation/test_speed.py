"""Seconds, tokens and costs of answers."""

import pytest

from twin.evaluation.checks import Verdict
from twin.evaluation.speed import cost_of, median_of, speed_check, speed_of
from twin.recipes import GateSection
from twin.recipes.evaluation import CostSection
from twin.stores.kept_answers import KeptAnswer

NONE = CostSection()


def answer(first=1.0, seconds=2.0, read=100, wrote=10, together=4):
    return KeptAnswer(
        key="k", text="Pods.", finish_reason="stop", prompt_tokens=read, answer_tokens=wrote,
        first_word_seconds=first, seconds=seconds, together=together, about=("d",),
    )  # fmt: skip


def test_medians_of_what_the_model_has_written():
    answers = [answer(1, 10, 100, 5), answer(2, 30, 300, 7), answer(9, 20, 200, 6)]
    answers.append(answer(0, 0, 0, 0))  # refused before the model was asked
    speed = speed_of(answers, ["a", "b", "c", "d"], "llama.cpp q8_0", NONE)
    assert (speed.answers, speed.together, speed.engine) == (3, 4, "llama.cpp q8_0")
    assert (speed.first_word_seconds.value, speed.seconds.value) == (2, 20)
    assert (speed.prompt_tokens.value, speed.answer_tokens.value) == (200, 6)
    assert speed.cost is None
    assert speed_of(answers[3:], ["d"], "e", NONE) is None


def test_the_interval_is_over_groups():
    values = [1.0] * 20 + [9.0] * 20
    together = median_of(values, [str(number // 5) for number in range(40)])
    apart = median_of(values, [str(number) for number in range(40)])
    assert (together.low, together.high, together.groups) == (1, 9, 8)
    assert apart.groups == 40
    assert together.error > 0
    same = median_of([3.0] * 9, [str(number) for number in range(9)])
    assert (same.low, same.value, same.high) == (3, 3, 3)
    few = median_of([1.0, 2.0] * 7, [str(number // 2) for number in range(14)])
    assert (few.groups, few.high) == (7, float("inf")), "so few groups tell no interval"


def test_the_interval_of_a_median_holds_the_truth():
    import numpy as np

    drawing = np.random.default_rng(3)
    held = 0
    for _ in range(100):
        found = median_of(list(drawing.normal(5, 1, 30)), [str(number) for number in range(30)])
        held += found.low <= 5 <= found.high
    assert 88 <= held <= 99


def test_a_cost_is_a_share_of_the_machine_and_its_tokens():
    hour = CostSection(machine_hour=3.6)
    assert cost_of(answer(seconds=2, together=1), hour) == pytest.approx(0.002)
    assert cost_of(answer(seconds=2, together=4), hour) == pytest.approx(0.0005)
    read, written = CostSection(prompt_tokens=10), CostSection(answer_tokens=10)
    assert cost_of(answer(read=100, wrote=7), read) == pytest.approx(100 * 10 / 1e6)
    assert cost_of(answer(read=100, wrote=7), written) == pytest.approx(7 * 10 / 1e6)
    assert not NONE.is_set
    assert hour.is_set and read.is_set and written.is_set
    speed = speed_of([answer(), answer(seconds=4)], ["a", "b"], "e", hour)
    assert speed.cost.value == pytest.approx(1_000 * 3 / 4 * 3.6 / 3_600)


def test_the_limit_is_on_the_median_and_the_recipes():
    speed = speed_of([answer(seconds=2), answer(seconds=2)], ["a", "b"], "e", NONE)
    assert speed_check(speed, GateSection()) == ()
    (at,) = speed_check(speed, GateSection(max_answer_seconds=2))
    assert at.passed
    (over,) = speed_check(speed, GateSection(max_answer_seconds=1.9))
    assert (over.passed, over.otherwise) == (False, Verdict.REJECT)
    assert "half of its answers take more than 2.00 s (4 at once, e); it may be 1.9 s" in over.text
    (unknown,) = speed_check(None, GateSection(max_answer_seconds=2))
    assert (unknown.passed, unknown.otherwise) == (False, Verdict.HOLD)
