"""Questions that were not answered well, alike ones together."""

import numpy as np
import pytest

from tests.twin.monitoring.seen import answer
from twin.domain.feedback import Feedback
from twin.monitoring.failing_questions import QuestionGroup, groups
from twin.recipes.monitoring import QuestionsSection

SECTION = QuestionsSection(least_callers=2, least_questions=3, examples=2)


def cluster(name, axis, callers, **more):
    """Questions of these callers near one another, with their vectors."""
    drawing = np.random.default_rng(axis)
    found = []
    for number, caller in enumerate(callers):
        vector = np.eye(8)[axis] + drawing.normal(0, 0.05, 8)
        asked = answer(caller, question=f"{name} {number}?", **{"refused": True, **more})
        found.append((asked, list(vector / np.linalg.norm(vector))))
    return found


def grouped(*clusters, section=SECTION, mask=lambda text: text):
    pairs = [pair for cluster in clusters for pair in cluster]
    return groups([each for each, _ in pairs], [vector for _, vector in pairs], mask, section)


def test_alike_questions_stand_together_and_the_most_asked_come_first():
    found = grouped(
        cluster("wine", 0, "abc"), cluster("prices", 1, "abcdef"), cluster("single", 2, "a")
    )
    assert [(each.question.split()[0], each.callers) for each in found] == [
        ("prices", 6),
        ("wine", 3),
    ]


def test_what_one_caller_alone_asks_is_not_shown_however_often():
    found = grouped(cluster("mine", 0, "a" * 50), cluster("ours", 1, "abcd"))
    assert [each.question.split()[0] for each in found] == ["ours"]
    alone = SECTION.model_copy(update={"least_callers": 1})
    assert len(grouped(cluster("mine", 0, "a" * 50), cluster("ours", 1, "abcd"), section=alone)) > 1


def test_examples_are_of_different_callers_and_never_the_middle_one():
    [found] = [
        each
        for each in grouped(cluster("q", 0, "aaaabbc"), cluster("z", 1, "xyz"))
        if each.question.startswith("q")
    ]
    assert len(found.examples) == 2
    assert found.question not in found.examples
    assert (found.questions, found.callers) == (7, 3)


def test_every_text_that_is_shown_is_masked():
    found = grouped(cluster("ann@x.org", 0, "abcd"), cluster("z", 1, "xyz"), mask=lambda _: "[M]")
    assert {each.question for each in found} == {"[M]"}
    assert {each.examples for each in found} == {()}


def test_what_was_refused_is_unwritten_and_what_was_disliked_is_not():
    down = Feedback(thumb="down")
    found = grouped(
        cluster("moon", 0, "abc", nearest="On pods"),
        cluster("pods", 1, "abcd", refused=False, feedback=down, nearest="On pods"),
    )
    pods, moon = found
    assert (pods.is_unwritten, pods.disliked, pods.refused) == (False, 1.0, 0.0)
    assert (moon.is_unwritten, moon.disliked, moon.refused) == (True, 0.0, 1.0)
    assert moon.nearest == "On pods"


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_few_questions_are_no_group(count):
    assert grouped(cluster("q", 0, "abc"[:count])) == []


@pytest.mark.parametrize(("refused", "unwritten"), [(0.5, True), (0.49, False)])
def test_most_answers_decide_whether_it_is_written(refused, unwritten):
    group = QuestionGroup(
        question="q", examples=(), questions=3, callers=2, refused=refused, disliked=0
    )
    assert group.is_unwritten is unwritten
