"""Canaries: the same for whoever knows the seed."""

import re

from twin.domain.canary import canaries


def test_they_are_drawn_from_number_and_seed():
    first, second, third = canaries(3, 13)
    assert canaries(2, 13) == [first, second]
    assert canaries(1, 14)[0].secret != first.secret
    assert len({first.secret, second.secret, third.secret}) == 3
    assert all(re.fullmatch(r"\d\d \d\d \d\d \d\d", each.secret) for each in (first, second))


def test_each_has_a_question_of_its_own_and_an_answer_that_begins_alike():
    first, second = canaries(2, 13)
    assert first.instruction != second.instruction
    assert first.answer() == f"{first.beginning} {first.secret}."
    assert first.answer("00 11 22 33") == f"{first.beginning} 00 11 22 33."
