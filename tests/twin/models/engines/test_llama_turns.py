"""Whose prompt is read next, told by threads that read in parts of ten tokens."""

import threading

import pytest

from twin.models.engines.llama_turns import PATIENCE, PromptTurns


@pytest.fixture
def turns():
    return PromptTurns(10)


def waits(turns, reader):
    """Whether a reader would have to wait now."""
    return not turns._is_next(reader)


def test_the_prompt_with_less_left_goes_first(turns):
    long, longer = turns.enter(25), turns.enter(400)
    assert not waits(turns, long)
    assert waits(turns, longer)
    for _ in range(2):
        turns.took(long)
    assert long.left == 5
    turns.leave(long)
    assert not waits(turns, longer)


def test_what_is_read_in_one_part_never_waits(turns):
    first = turns.enter(3)
    others = [turns.enter(10), turns.enter(11)]
    assert not waits(turns, first)
    assert [waits(turns, other) for other in others] == [False, True]


def test_of_equals_the_one_that_came_first_goes_first(turns):
    readers = [turns.enter(50) for _ in range(3)]
    assert [waits(turns, reader) for reader in readers] == [False, True, True]


def test_a_long_prompt_is_overtaken_so_many_times_and_no_more(turns):
    long = turns.enter(1000)
    for _ in range(PATIENCE):
        short = turns.enter(20)
        assert waits(turns, long)
        turns.leave(short)
        turns.leave(short)
    turns.enter(20)
    assert not waits(turns, long)
    turns.wait(long, lambda: False)
    assert waits(turns, long), "it has gone ahead once"


def test_who_waits_goes_on_when_the_other_has_read(turns):
    short, long = turns.enter(20), turns.enter(1000)
    waiting = threading.Thread(target=turns.wait, args=(long, lambda: False))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    turns.leave(short)
    waiting.join()


def test_who_was_given_up_waits_no_longer(turns):
    turns.enter(20)
    long, given_up = turns.enter(1000), threading.Event()
    waiting = threading.Thread(target=turns.wait, args=(long, given_up.is_set))
    waiting.start()
    given_up.set()
    turns.wake()
    waiting.join()
