"""Many callers of one chain: nobody waits for another longer than the engine makes them."""

import asyncio
import threading
import time

import pytest

from tests.twin import twins
from twin.domain.errors import OverloadedError, TryAgainError
from twin.models.engines.transformers_engine import TransformersEngine
from twin.models.language_model import Generation
from twin.rag.chain import Lineage, load_chain
from twin.rag.query import Query
from twin.settings import Settings

LONG = Query(question="Tell me everything.", temperature=1.5, seed=2)
SHORT = Query(question="Why?", max_new_tokens=1)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("timing")
    settings = Settings(home=home / "home", recipes=home / "recipes")
    recipe = twins.write_recipe(settings.recipes)
    twins.index_texts(recipe, settings)
    twins.publish_weights(settings, home / "weights")
    return home


@pytest.fixture(scope="module")
def engine(home):
    return TransformersEngine.load(home / "weights", threads=2)


@pytest.fixture
def chain_with(home, engine):
    """A chain over the one engine, with knobs of its own."""

    def make(engine=engine, **serving):
        settings = Settings(home=home / "home", recipes=home / "recipes")
        recipe = twins.write_recipe(home / "knobs", **{"max_new_tokens": 400, **serving})
        chain = load_chain(recipe, engine, home / "weights", settings, Lineage("twin-tiny", "1"))
        asyncio.run(chain.prepare(SHORT))  # loads the embedder, which is not what is timed
        return chain

    return make


def test_the_event_loop_is_free_while_a_model_writes(chain_with):
    chain = chain_with()

    async def both():
        work = asyncio.create_task(chain.answer(LONG))
        turns = 0
        while not work.done():
            await asyncio.sleep(0.005)
            turns += 1
        return turns, await work

    turns, answer = asyncio.run(both())
    assert answer.completion_tokens > 100
    assert turns > 20  # were it held for each token, or for the whole answer, there were few


def test_a_generation_beyond_its_time_is_cut_short(chain_with):
    # Greedily this model never comes to an end of its own; so many tokens take far longer.
    endless = Query(question="Tell me everything.", temperature=0)
    chain = chain_with(answer_timeout_seconds=4, max_new_tokens=1_800)
    answer = asyncio.run(chain.answer(endless))
    assert answer.finish_reason == "length"
    assert 0 < answer.completion_tokens < 1_800


def test_an_answer_that_waits_beyond_its_time_never_begins(chain_with):
    patient, hurried = chain_with(), chain_with(answer_timeout_seconds=3)

    async def behind_others():
        others = [asyncio.create_task(patient.answer(LONG)) for _ in range(3)]
        await asyncio.sleep(0.2)
        with pytest.raises(TryAgainError, match="no answer began within 3 s"):
            await hurried.answer(LONG)
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    asyncio.run(behind_others())


def test_the_time_is_over_for_an_engine_that_does_not_notice(chain_with):
    class Deaf:
        context_tokens = 2048

        async def stream(self, request):
            yield "A word"
            await asyncio.sleep(60)

    started = time.monotonic()
    answer = asyncio.run(chain_with(Deaf(), answer_timeout_seconds=3).answer(LONG))
    assert (answer.answer, answer.finish_reason) == ("A word", "length")
    assert answer.completion_tokens > 0
    assert time.monotonic() - started < 30


def test_an_answer_that_has_not_begun_in_time_is_given_up_and_one_that_has_goes_on(chain_with):
    class Slow:
        context_tokens = 2048

        def __init__(self, before, between):
            self._waits = [before, between]

        async def stream(self, request):
            for wait, text in zip(self._waits, ("A ", "word"), strict=True):
                await asyncio.sleep(wait)
                yield text
            yield Generation("A word", "stop", 3, 2)

    late, slow = Slow(60, 0), Slow(0, 3)
    with pytest.raises(OverloadedError, match="no answer began within 2 s"):
        asyncio.run(chain_with(late, max_wait_seconds=2).answer(LONG))
    assert asyncio.run(chain_with(slow, max_wait_seconds=2).answer(LONG)).answer == "A word"


def test_an_engine_that_ends_in_the_middle_is_no_answer(chain_with):
    class Broken:
        context_tokens = 2048

        async def stream(self, request):
            yield "A word"

    with pytest.raises(TryAgainError, match="middle of an answer"):
        asyncio.run(chain_with(Broken()).answer(LONG))


def test_a_caller_who_leaves_makes_room_for_the_next(chain_with):
    # Greedily this model never comes to an end of its own; so many tokens take far longer.
    chain = chain_with(max_new_tokens=1_800)
    endless = Query(question="Tell me everything.", temperature=0)

    async def leave_then_ask():
        work = asyncio.create_task(chain.answer(endless))
        await asyncio.sleep(0.2)
        work.cancel()
        started = time.monotonic()
        await chain.answer(SHORT)
        return time.monotonic() - started

    assert asyncio.run(leave_then_ask()) < 5


def test_hundreds_of_waiting_callers_cost_no_threads(chain_with):
    class Slow:
        context_tokens = 2048

        def __init__(self):
            self.asked = 0

        async def stream(self, request):
            self.asked += 1
            await asyncio.sleep(30)
            yield "never"

    engine = Slow()
    chain = chain_with(engine)

    async def crowd():
        asking = [asyncio.create_task(chain.answer(SHORT)) for _ in range(300)]
        while engine.asked < 300:
            await asyncio.sleep(0.05)
        threads = threading.active_count()
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        return threads

    before = threading.active_count()
    assert asyncio.run(crowd()) - before < 12


def test_an_error_reaches_the_caller_and_the_next_is_answered(chain_with):
    chain = chain_with()

    async def both():
        with pytest.raises(Exception, match="tokens"):
            await chain.answer(Query(question="pod " * 3_000))
        return await chain.answer(SHORT)

    assert asyncio.run(both()).sources
