"""Long prompts beside short ones on llama.cpp: who is read when, as the server says itself."""

import asyncio

import pytest

from tests import families
from tests.twin.models.engines.test_llama_cpp import KNOBS, generation, read, run
from twin.models.engines.engine import EngineRequest
from twin.models.engines.llama_cpp import LlamaCppEngine
from twin.models.language_model import SamplingParams


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A model that takes 40,000 characters, of which it makes some 15,000 tokens."""
    return families.build(
        "smollm2", tmp_path_factory.mktemp("wide"), max_position_embeddings=16_384
    )


def watched(engine, steps):
    """Let ``steps`` tell how far the server has read each prompt, by its first token."""
    server = engine._loaded.server
    complete = server.complete

    def watch(request, take):
        def taken(event):
            progress = event.get("prompt_progress")
            steps.append((request["prompt"][0], progress and progress["processed"]))
            return take(event)

        complete(request, taken)

    server.complete = watch
    return engine


@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_long_prompt_delays_a_short_one_by_a_step(wide, gguf_cache, before):
    """Whichever slots they get: llama.cpp by itself fills its steps with that of the first slot."""
    steps = []
    engine = watched(LlamaCppEngine.load(wide, threads=1, knobs=KNOBS, cache=gguf_cache), steps)
    params = SamplingParams(max_new_tokens=4, min_new_tokens=4)
    long = EngineRequest((300, *(400 + n % 90 for n in range(10_000))), (), params)
    short = EngineRequest((301, *(400 + n % 80 for n in range(600))), (), params)

    async def work():
        for number in range(before):  # which slots are free the longest
            await read(engine, EngineRequest((310 + number,) * 3, (), params))
        steps.clear()
        reading = asyncio.create_task(read(engine, long))
        while not steps:
            await asyncio.sleep(0)
        begun = len(steps)
        answer = await generation(engine, short)
        ended = len(steps)
        return begun, ended, answer, (await reading)[-1]

    begun, ended, answer, whole = run(engine, work)
    assert (answer.completion_tokens, whole.completion_tokens) == (4, 4)
    first_word = next(at for at, (who, read) in enumerate(steps) if who == 301 and read is None)
    during = [read for who, read in steps[begun:first_word] if who == 300 and read is not None]
    assert len(set(during)) <= 2, "the part that was under way, and no other"
    assert max(read or 0 for who, read in steps[:ended] if who == 300) < 2_000
    assert max(read or 0 for who, read in steps if who == 300) == len(long.prompt_ids)


def test_a_prompt_read_in_parts_is_answered_as_one_read_at_once(wide, gguf_cache, monkeypatch):
    params = SamplingParams(max_new_tokens=8, min_new_tokens=8)
    request = EngineRequest(tuple(300 + n * 7 % 90 for n in range(1_500)), (), params)

    def answer():
        engine = LlamaCppEngine.load(wide, threads=1, knobs=KNOBS, cache=gguf_cache)
        return run(engine, lambda: generation(engine, request))

    in_parts = answer()
    monkeypatch.setattr("twin.models.engines.llama_cpp.BATCH_TOKENS", 100_000)
    assert answer() == in_parts


def test_a_long_prompt_can_be_given_up_while_it_is_read(wide, gguf_cache):
    steps = []
    engine = watched(LlamaCppEngine.load(wide, threads=1, knobs=KNOBS, cache=gguf_cache), steps)
    params = SamplingParams(max_new_tokens=4)
    long = EngineRequest((300, *(400 + n % 90 for n in range(10_000))), (), params)

    async def work():
        reading = asyncio.create_task(read(engine, long))
        while not steps:
            await asyncio.sleep(0)
        reading.cancel()
        return await generation(engine, EngineRequest((301,) * 20, (), params))

    assert run(engine, work).prompt_tokens == 20
    assert max(read or 0 for who, read in steps if who == 300) < 2_000


def test_no_prompt_is_read_twice(wide, gguf_cache):
    """An answer pauses between its parts, while other requests begin: its slot stays as it is."""
    engine = LlamaCppEngine.load(wide, threads=1, knobs=KNOBS, cache=gguf_cache)
    server = engine._loaded.server
    # A penalty makes parts: of one word, one, two, four, eight and eight.
    params = SamplingParams(max_new_tokens=24, min_new_tokens=24, repetition_penalty=1.1)
    requests = [EngineRequest((300 + number,) * 200, (), params) for number in range(9)]

    async def work():
        begun = read_tokens(server)
        await asyncio.gather(*(read(engine, request) for request in requests))
        return read_tokens(server) - begun

    assert run(engine, work) in range(9 * 200, 9 * (200 + 12))


def test_what_idle_slots_keep_gives_way_to_a_prompt_that_needs_the_room(tmp_path, gguf_cache):
    """The three slots share a cache of 6,144 tokens here, too few for what all of them keep."""
    base = families.build("smollm2", tmp_path / "base", max_position_embeddings=4_096)
    engine = LlamaCppEngine.load(base, threads=1, knobs=KNOBS, cache=gguf_cache)
    assert engine._options.pool_tokens == 6_144
    params = SamplingParams(max_new_tokens=4, min_new_tokens=4)
    requests = [EngineRequest((300 + n, *[400 + n] * 2_200), (), params) for n in range(3)]

    async def work():
        by_turns = [await generation(engine, request) for request in requests]
        return by_turns, await asyncio.gather(*(generation(engine, each) for each in requests))

    by_turns, at_once = run(engine, work)
    assert [answer.completion_tokens for answer in [*by_turns, *at_once]] == [4] * 6


def read_tokens(server):
    """Tokens of prompts that a server has read and not taken from its cache."""
    name = "llamacpp:prompt_tokens_total"
    return int(next(x.split()[1] for x in server.metrics().splitlines() if x.startswith(name)))
