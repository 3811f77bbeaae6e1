import asyncio
import time

import pytest

from twin.domain.errors import BadDataError, TryAgainError
from twin.models.engines.engine import EngineRequest
from twin.models.language_model import Generation, SamplingParams
from twin.serving.engine_messages import answer_items, read_item
from twin.serving.gathering import SECONDS_BETWEEN_PIECES, gathered

WHOLE = Generation("abc", "stop", 3, 2)
REQUEST = EngineRequest((1, 2), (), SamplingParams(max_new_tokens=5), timeout_seconds=3.0)


class Engine:
    """Says what it is told to, and notes what it was asked."""

    context_tokens = 100

    def __init__(self, *pieces):
        self.pieces = pieces
        self.asked = []
        self.closed = False

    async def stream(self, request):
        self.asked.append(request)
        try:
            for piece in self.pieces:
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            self.closed = True


def items(engine):
    async def collect():
        return [item async for item in answer_items(engine, REQUEST.to_dict())]

    return asyncio.run(collect())


def test_an_answer_crosses_as_plain_data():
    engine = Engine("a", "bc", WHOLE)
    said = items(engine)
    assert said[0] == {"text": "a"}
    assert [read_item(item) for item in said] == ["a", "bc", WHOLE]
    assert engine.asked == [REQUEST]


@pytest.mark.parametrize("kind", [BadDataError, TryAgainError])
def test_what_the_caller_should_know_is_the_last_item(kind):
    *before, last = items(Engine("a", kind("in words")))
    assert before == [{"text": "a"}]
    with pytest.raises(kind, match="in words"):
        read_item(last)


def test_a_defect_stays_one():
    with pytest.raises(ZeroDivisionError):
        items(Engine(ZeroDivisionError()))


def test_leaving_ends_the_writing():
    engine = Engine("a", "b", WHOLE)

    async def leave():
        said = answer_items(engine, REQUEST.to_dict())
        await anext(said)
        await said.aclose()

    asyncio.run(leave())
    assert engine.closed


def test_text_that_comes_fast_is_gathered_and_the_first_is_not_held_back():
    async def fast():
        for number in range(1_000):
            yield f"{number} "
        yield WHOLE

    async def collect():
        started = time.monotonic()
        return [piece async for piece in gathered(fast())], time.monotonic() - started

    (*texts, last), seconds = asyncio.run(collect())
    assert texts[0] == "0 "
    assert "".join(texts) == "".join(f"{number} " for number in range(1_000))
    assert last == WHOLE
    assert len(texts) <= seconds / SECONDS_BETWEEN_PIECES + 2
