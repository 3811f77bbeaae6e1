import asyncio
import time

import pytest
import torch

from twin.rag.query import AnswerPart, Query
from twin.serving.answering import SECONDS_BETWEEN_PARTS, Answering

LONG = Query(question="Tell me everything.", temperature=1.5, seed=2)


@pytest.fixture
def answering(chain):
    return Answering(chain, at_once=1, timeout_seconds=60)


async def collect(answering, query):
    return [part async for part in answering.stream(query)]


def test_the_parts_are_the_answer_in_order(answering):
    *texts, last = asyncio.run(collect(answering, LONG))
    assert "".join(part.text for part in texts).strip() == last.answer.answer


def test_text_that_comes_fast_is_gathered(answering):
    started = time.monotonic()
    *texts, last = asyncio.run(collect(answering, LONG))
    seconds = time.monotonic() - started
    assert last.answer.completion_tokens > 100
    assert len(texts) <= seconds / SECONDS_BETWEEN_PARTS + 2


def test_the_event_loop_is_free_while_a_model_writes(answering):
    async def both():
        work = asyncio.create_task(answering.answer(LONG))
        longest, last = 0.0, time.monotonic()
        while not work.done():
            await asyncio.sleep(0.005)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        return longest, await work

    longest, answer = asyncio.run(both())
    assert answer.completion_tokens > 100
    assert longest < 0.5


def test_a_generation_beyond_its_time_is_cut_short(chain):
    answering = Answering(chain, at_once=1, timeout_seconds=0.05)
    answer = asyncio.run(answering.answer(LONG))
    assert answer.finish_reason == "length"
    assert answer.completion_tokens < 100


def test_a_caller_who_leaves_makes_room_for_the_next(answering):
    async def leave_then_ask():
        work = asyncio.create_task(answering.answer(LONG))
        await asyncio.sleep(0.2)
        work.cancel()
        started = time.monotonic()
        await answering.answer(Query(question="Why?", max_new_tokens=1))
        return time.monotonic() - started

    assert asyncio.run(leave_then_ask()) < 1.0


def test_an_error_reaches_the_caller_and_the_next_is_answered(answering):
    with pytest.raises(Exception, match="tokens"):
        asyncio.run(answering.answer(Query(question="pod " * 3_000)))
    assert asyncio.run(answering.answer(Query(question="Why?", max_new_tokens=1))).sources


class LostGpu:
    """A chain whose GPU is in the state that a device-side assert leaves for good."""

    def stream(self, query, should_stop):
        yield AnswerPart(text="a")
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")


def test_a_replica_whose_gpu_is_lost_says_so(answering):
    with pytest.raises(Exception, match="tokens"):
        asyncio.run(answering.answer(Query(question="pod " * 3_000)))
    answering.check_health()
    lost = Answering(LostGpu(), at_once=1, timeout_seconds=60)
    lost.check_health()
    with pytest.raises(torch.AcceleratorError):
        asyncio.run(lost.answer(Query(question="Why?")))
    with pytest.raises(RuntimeError, match="device-side assert"):
        lost.check_health()
