"""Feedback, in which every caller has one voice."""

import pytest

from tests.twin.monitoring.seen import answer
from twin.domain.feedback import Feedback
from twin.domain.monitoring import Standing
from twin.monitoring.opinion import opinion


def judged(caller, **feedback):
    return answer(caller, feedback=Feedback(**feedback))


def test_many_who_disapprove_are_heard_and_one_who_shouts_is_not():
    shouting = [judged("troll", thumb="down")] * 1_000
    content = [judged(f"c{n}", thumb="up") for n in range(8)]
    assert opinion(shouting + content, 0.5, 5).standing is Standing.GOOD
    crowd = [judged(f"c{n}", thumb="down") for n in range(15)]
    found = opinion(crowd + [judged("fan", thumb="up")] * 1_000, 0.5, 5)
    assert (found.standing, found.count) == (Standing.BAD, 16)
    assert found.high < 0.5


def test_too_few_callers_say_nothing():
    four = [judged(f"c{n}", thumb="down") for n in range(4)]
    assert opinion(four, 0.5, 5).standing is Standing.UNKNOWN
    assert opinion(four, 0.5, 4).standing is not Standing.UNKNOWN
    assert opinion([answer(f"c{n}") for n in range(9)], 0.5, 5).standing is Standing.UNKNOWN


@pytest.mark.parametrize(
    ("feedback", "rating"),
    [
        ({"thumb": "up"}, 1.0),
        ({"thumb": "down"}, 0.0),
        ({"thumb": "up", "score": 0.25}, 0.25),
        ({"correction": "No: a pod."}, 0.0),
        ({"thumb": "up", "correction": "A pod."}, 1.0),
        ({"comment": "hm"}, None),
        ({"thumb": "up", "score": 0.0}, 0.0),
    ],
)
def test_what_feedback_is_worth(feedback, rating):
    assert judged("c", **feedback).rating == rating
