"""How much of raw llama.cpp's speed is left of it as an engine (`make bench-serving`).

The same GGUF file, prompts, threads and samplers; the raw side is llama.cpp's server with its own
defaults, called by a thread a caller. Figures are printed, ratios asserted nowhere: other programs
share the processor. TWIN_BENCH_STREAMS are the numbers of callers, TWIN_BENCH_THREADS the threads
of either side.
"""

import asyncio
import os
import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from twin.models.engines.engine import EngineRequest
from twin.models.engines.gguf import prepare_gguf
from twin.models.engines.llama_cpp import LlamaCppEngine
from twin.models.language_model import Generation, SamplingParams
from twin.recipes.engines import LlamaCppSection
from twin.settings import get_settings

STREAMS = tuple(map(int, os.environ.get("TWIN_BENCH_STREAMS", "1,8,32").split(",")))
PROMPT_TOKENS = 200
ANSWER_TOKENS = 48
PARALLEL = 8
PENALTY = 1.1
THREADS = int(os.environ.get("TWIN_BENCH_THREADS", os.cpu_count() or 1))
CACHE = Path(os.environ.get("TWIN_BENCH_CACHE", ".twin/bench-gguf"))


@pytest.fixture(scope="module")
def base():
    from twin.models.bases.base_models import prepare_base_model

    return prepare_base_model("gemma3-270m", get_settings())


def prompts(streams, seed):
    """Random words, so that no run finds another one's prompt in the cache."""
    words = random.Random(seed)
    return [
        [2, *(words.randrange(1_000, 200_000) for _ in range(PROMPT_TOKENS - 1))]
        for _ in range(streams)
    ]


def raw_server(file):
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.n_ctx = PARALLEL * 2048
    parameters.n_parallel = PARALLEL
    parameters.kv_unified = True
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = THREADS
    parameters.port = 0
    parameters.ui = False
    parameters.verbosity = 1
    return xllamacpp.Server(parameters)


def run_raw(server, ids):
    def ask(prompt):
        begun, times = time.monotonic(), []
        server.handle_completions(
            {
                "prompt": prompt, "n_predict": ANSWER_TOKENS, "ignore_eos": True, "stream": True,
                "temperature": 0.0, "samplers": ["penalties", "top_k"], "top_k": 1,
                "repeat_penalty": PENALTY, "repeat_last_n": 64,
            },
            lambda _: times.append(time.monotonic()) and False,
        )  # fmt: skip
        return times[0] - begun

    begun = time.monotonic()
    with ThreadPoolExecutor(len(ids)) as callers:
        first = list(callers.map(ask, ids))
    return len(ids) * ANSWER_TOKENS / (time.monotonic() - begun), first


async def run_engine(engine, ids):
    params = SamplingParams(
        max_new_tokens=ANSWER_TOKENS, min_new_tokens=ANSWER_TOKENS, repetition_penalty=PENALTY
    )

    async def ask(prompt):
        begun, times, count = time.monotonic(), [], 0
        async for piece in engine.stream(EngineRequest(tuple(prompt), (), params)):
            times.append(time.monotonic())
            count = piece.completion_tokens if isinstance(piece, Generation) else 0
        return times[0] - begun, count

    begun = time.monotonic()
    answers = await asyncio.gather(*(ask(prompt) for prompt in ids))
    tokens = sum(count for _, count in answers)
    return tokens / (time.monotonic() - begun), [first for first, _ in answers]


@pytest.mark.timeout(1800)
def test_engine_against_raw_llama_cpp(base):
    knobs = LlamaCppSection(parallel=PARALLEL)
    file = prepare_gguf(base, knobs.quantisation, CACHE)
    rows = []

    async def compare():
        raw = raw_server(file)
        engine = LlamaCppEngine.load(base, threads=THREADS, knobs=knobs, cache=CACHE)
        for streams in STREAMS:
            for round_ in range(2 if streams < 32 else 1):
                seed = 1_000 * streams + 10 * round_
                there, raw_first = await asyncio.to_thread(run_raw, raw, prompts(streams, seed))
                here, first = await run_engine(engine, prompts(streams, seed + 1))
                rows.append((streams, there, here, raw_first, first))
        await engine.close()

    asyncio.run(compare())
    print(f"\n{file.name}, {THREADS} threads, {PROMPT_TOKENS} + {ANSWER_TOKENS} tokens")
    for streams, there, here, raw_first, first in rows:
        print(
            f"{streams:3} streams: raw {there:6.1f} tokens/s, engine {here:6.1f}, ratio "
            f"{here / there:.2f}; first token (median) raw {statistics.median(raw_first):.2f} s, "
            f"engine {statistics.median(first):.2f} s"
        )
        assert here > 0
