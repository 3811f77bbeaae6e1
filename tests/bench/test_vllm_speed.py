"""vLLM's CPU build through the endpoint, against vLLM alone (`make bench-vllm`).

The same model (the demo's base), prompts, lengths of answers, callers and threads, one after the
other in one run. Alone it is vLLM's own AsyncLLM with nothing of ours: no router, retrieval,
penalty or text over HTTP; the endpoint shares the cores with all of these and with Ray. Each answer
alone is as long as the endpoint's to the same question. Figures are printed, asserted nowhere:
other programs share the processor.

TWIN_BENCH_STREAMS are the numbers of streams ("1,8,32"), TWIN_BENCH_MODEL a folder of a model.
"""

import asyncio
import json
import os
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import servers
from tests.bench.callers import Answered, Load, ask_endpoint, streams
from tests.bench.test_serving_speed import CHUNKS, index_chunks, questions
from tests.twin import twins
from tests.twin.serving_platform import KEY, Platform, running, settings_of
from tests.vllm_platform import PYTHON, all_run
from twin.domain.rollout import RolloutState
from twin.rag.chain import Lineage, load_chain
from twin.rag.query import Query
from twin.recipes import Recipe
from twin.serving.served_engine import ServedEngine
from twin.settings import Settings
from twin.stores.files import open_files
from twin.stores.rollout_states import RolloutStates

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]

STREAMS = tuple(map(int, os.environ.get("TWIN_BENCH_STREAMS", "1,8,32").split(",")))
ANSWERS = {1: 4, 8: 16}
"""Answers of a measurement; of more streams one each."""
TOKENS = 96
CONTEXT = 2048
CORES = os.cpu_count() or 1
OPTIONS: dict[str, Any] = {
    "max_model_len": CONTEXT, "max_num_seqs": max(STREAMS), "kv_cache_memory_bytes": 1 << 30,
}  # fmt: skip

#: Reads a model, options and rounds of prompts with their answers' lengths, each for a number of
#: callers; prints seconds of each round and of each first token.
ALONE = """
import asyncio, json, sys, time
from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM

async def main():
    given = json.load(sys.stdin)
    engine = AsyncLLM.from_engine_args(AsyncEngineArgs(
        model=given["model"], load_format="safetensors", enforce_eager=True,
        enable_prefix_caching=True, enable_log_requests=False, **given["options"]))

    async def ask(prompt, tokens, name):
        params = SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True,
                                output_kind=RequestOutputKind.DELTA)
        started, first = time.perf_counter(), None
        async for _ in engine.generate({"prompt_token_ids": prompt}, params, name):
            first = first or time.perf_counter() - started
        return first

    for number, (callers, asked) in enumerate(given["rounds"]):
        left, firsts = list(reversed(list(enumerate(asked)))), []
        async def caller():
            while left:
                place, (prompt, tokens) = left.pop()
                firsts.append(await ask(prompt, tokens, f"{number}-{place}"))
        started = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        print("RESULT", json.dumps([time.perf_counter() - started, firsts]), flush=True)
    engine.shutdown()

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tuple[Settings, dict[str, str], Recipe, Path]:
    """Settings, environment, recipe and weights, with an index of CHUNKS chunks."""
    if not PYTHON.is_file():
        pytest.skip("no environment for vLLM: `make vllm` makes it")
    home = tmp_path_factory.mktemp("bench-vllm")
    settings, environment = settings_of(home / "home", "http://127.0.0.1:1")
    environment["TWIN_VLLM_PYTHON"] = str(PYTHON)
    recipe = twins.write_recipe(
        settings.recipes, engine="vllm", cpus_per_replica=CORES, max_new_tokens=TOKENS, passages=3,
        start_timeout_seconds=900, vllm={"options": OPTIONS},
    )  # fmt: skip
    index_chunks(recipe, settings)
    model = os.environ.get("TWIN_BENCH_MODEL")
    if model is None:
        from twin.models.bases.base_models import prepare_base_model

        model = prepare_base_model("gemma3-270m", settings)
    files = open_files(settings)
    uri = files.publish_folder(Path(model), "models/twin-tiny/1")
    served = twins.served(recipe, "1", uri, files.published_digest("models/twin-tiny/1"))
    state = RolloutState(model="twin-tiny", versions=(served,), weights={"1": 100})
    RolloutStates(settings).save(state)
    return settings, environment, recipe, Path(files.fetch_folder(uri, home / "cache"))


@pytest.fixture(scope="module")
def rounds() -> list[tuple[int, list[str]]]:
    """Callers and their questions; the first round warms up."""
    return [(2, questions(2, "w"))] + [
        (count, questions(max(count, ANSWERS.get(count, 0)), f"{count} of ")) for count in STREAMS
    ]


@dataclass
class Served:
    """What the endpoint did in a round, and each answer by its question."""

    load: Load
    answers: dict[str, Answered]


def asked_through_endpoint(platform: Platform, rounds: list[tuple[int, list[str]]]) -> list[Served]:
    async def measure() -> list[Served]:
        async with httpx.AsyncClient(
            base_url=platform.settings.endpoint_url,
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=600,
        ) as http:
            return [await one(http, count, asked) for count, asked in rounds]

    async def one(http: httpx.AsyncClient, count: int, asked: list[str]) -> Served:
        answers: dict[str, Answered] = {}

        async def ask(question: str) -> Answered:
            message = {"role": "user", "content": question}
            body = {"model": "twin-tiny", "messages": [message], "temperature": 0}
            answers[question] = await ask_endpoint(http, body)
            return answers[question]

        return Served(await streams(count, asked, ask), answers)

    return asyncio.run(measure())


def prompts(
    world: tuple[Settings, dict[str, str], Recipe, Path], rounds: list[tuple[int, list[str]]]
) -> list[list[list[int]]]:
    """What the endpoint has asked its engine: the same chain's prompts."""
    settings, _, recipe, weights = world
    engine = ServedEngine("nowhere", None, CONTEXT)  # only prepares
    chain = load_chain(recipe, engine, weights, settings, Lineage("twin-tiny", "1"))

    async def prepare() -> list[list[list[int]]]:
        return [
            [list((await chain.prepare(Query(question=question))).ids) for question in asked]
            for _, asked in rounds
        ]

    return asyncio.run(prepare())


def alone(weights: Path, rounds: list[tuple[int, Any]]) -> list[tuple[float, list[float]]]:
    """Seconds of each round and of its first tokens, by vLLM itself."""
    variables = {
        "OMP_NUM_THREADS": str(CORES), "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1",
    }  # fmt: skip
    done = subprocess.run(
        [PYTHON, "-c", ALONE],
        input=json.dumps({"model": str(weights), "options": OPTIONS, "rounds": rounds}),
        env={**os.environ, **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert len(lines) == len(rounds), done.stderr[-3000:]
    return [json.loads(line.removeprefix("RESULT ")) for line in lines]


@pytest.fixture(scope="module")
def served(world, rounds) -> list[Served]:
    settings, environment, _, _ = world
    with running(settings, environment) as platform:
        servers.wait_until(lambda: all_run(settings), "all applications", 900, pause=1)
        return asked_through_endpoint(platform, rounds)


def test_output_tokens_a_second(world, rounds, served):
    work = []
    for (count, names), ids, done in zip(rounds, prompts(world, rounds), served, strict=True):
        answers = [done.answers[question] for question in names]
        assert [len(prompt) for prompt in ids] == [answer.prompt_tokens for answer in answers]
        lengths = [answer.tokens for answer in answers]
        work.append((count, list(zip(ids, lengths, strict=True))))
    raw = alone(world[3], work)
    print(f"\n{CORES} threads, {CHUNKS:,} chunks, answers of {TOKENS} tokens at most")
    rows = zip(work[1:], served[1:], raw[1:], strict=True)
    for (count, asked), done, (seconds, firsts) in rows:
        here, there = done.load.tokens_a_second, sum(tokens for _, tokens in asked) / seconds
        print(
            f"{count:>3} streams: vLLM alone {there:6.1f} tokens/s, endpoint {here:6.1f}, ratio "
            f"{here / there:.2f}; first token (median) {statistics.median(firsts):.2f} s alone, "
            f"{done.load.first:.2f} s; {len(asked)} answers of "
            f"{statistics.mean(tokens for _, tokens in asked):.0f} tokens, prompts of "
            f"{statistics.mean(len(prompt) for prompt, _ in asked):.0f}"
        )
        assert here > 0
