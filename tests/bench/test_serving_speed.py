"""The endpoint against the raw engine: the same model, prompts and threads, in one run.

TWIN_BENCH_MODEL is a folder of a model (the demo's base model if unset), TWIN_BENCH_ANSWERS the
answers of each measurement, TWIN_BENCH_STREAMS how many callers there are at once.
"""

import asyncio
import os
import statistics
import time
from pathlib import Path

import httpx
import pytest

from tests import servers
from tests.bench.callers import ask_endpoint, ask_engine, streams
from tests.bench.retrieval.questions import chunks_of, handbook
from tests.twin import twins
from tests.twin.serving_platform import KEY, running, settings_of
from twin.domain.chunk import chunk_id
from twin.domain.rollout import RolloutState
from twin.features.chunker import Chunker
from twin.models.embedder import load_embedder
from twin.models.engines.engine import EngineRequest
from twin.models.engines.open_engine import EngineSite, open_engine
from twin.rag.chain import Lineage, load_chain
from twin.rag.query import Query
from twin.recipes import Recipe
from twin.stores.files import open_files
from twin.stores.index import IndexedDocument, IndexSpec, open_index
from twin.stores.rollout_states import RolloutStates

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]

CHUNKS = 10_000
ANSWERS = int(os.environ.get("TWIN_BENCH_ANSWERS", "16"))
STREAMS = tuple(map(int, os.environ.get("TWIN_BENCH_STREAMS", "1,8,32").split(",")))
TOKENS = 96
CORES = os.cpu_count() or 1
SERVING = {
    "engine": "llama.cpp",
    "cpus_per_replica": CORES,
    "max_new_tokens": TOKENS,
    "passages": 3,
    "max_prompt_tokens": 14_000,
    "max_question_characters": 50_000,
}
TOPICS = (
    "a pod", "a revision", "the warehouse", "the index", "a rollout", "promotion", "evaluation",
    "a sample", "a crawl", "a model", "an alias", "a trace", "a chunk", "training", "a recipe",
    "a retry",
)  # fmt: skip


def questions(count: int, asked: str = "") -> list[str]:
    return [f"What do you think about {TOPICS[n % len(TOPICS)]}? {asked}{n}" for n in range(count)]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def world(home):
    """Settings, recipe and weights, with an index of CHUNKS chunks."""
    settings, environment = settings_of(home / "home", "http://127.0.0.1:1")
    recipe = twins.write_recipe(settings.recipes, **SERVING)
    index_chunks(recipe, settings)
    model = os.environ.get("TWIN_BENCH_MODEL")
    if model is None:
        from twin.models.bases.base_models import prepare_base_model

        model = prepare_base_model("gemma3-270m", settings)
    files = open_files(settings)
    uri = files.publish_folder(Path(model), "models/twin-tiny/1")
    served = twins.served(recipe, "1", uri, files.published_digest("models/twin-tiny/1"))
    RolloutStates(settings).save(
        RolloutState(model="twin-tiny", versions=(served,), weights={"1": 100})
    )
    return settings, environment, recipe, Path(files.fetch_folder(uri, home / "cache"))


def index_chunks(recipe, settings):
    """CHUNKS chunks around the handbook's: real texts, each with words of its own."""
    import numpy as np

    embedder = load_embedder(recipe.features.embedder, settings)
    base = [chunk for own in chunks_of(handbook(), Chunker(embedder, 200)) for chunk in own]
    vectors = np.array(embedder.encode([chunk.embedded_text for chunk in base]))
    draw = np.random.default_rng(5)
    spec = IndexSpec(embedder=embedder.id, chunker="bench-1")

    def document(number):
        place, name = number % len(base), f"d{number}"
        vector = vectors[place] + draw.normal(0, 0.03, embedder.dimension)
        own = {
            "id": chunk_id(name, "r", 0, spec.chunker),
            "document_id": name,
            "revision": "r",
            "ordinal": 0,
            "chunker": spec.chunker,
            "text": f"{base[place].text} Number {number}.",
        }
        chunk = base[place].model_copy(update=own)
        return IndexedDocument(name, "r", [chunk], [(vector / np.linalg.norm(vector)).tolist()])

    with open_index(settings, recipe).write(spec, embedder.dimension) as writer:
        for start in range(0, CHUNKS, 1_000):
            writer.upsert([document(number) for number in range(start, start + 1_000)])
        writer.publish()


@pytest.fixture(scope="module")
def raw(world):
    """What the engine alone does, before Ray runs: streams to load, and seconds of each prompt."""
    settings, _, recipe, weights = world
    engine = open_engine(
        weights, recipe.serving, EngineSite(CORES, settings.home.resolve() / "engines")
    )
    quiet = settings.model_copy(update={"threads": 1})
    reranking = Recipe.model_validate(
        {**recipe.model_dump(mode="json"), "retrieval": {"rerank": "maxsim"}}
    )

    async def measure():
        requests, seconds = {}, {}
        for name, own in {"reranked by maxsim": reranking, "defaults": recipe}.items():
            chain = load_chain(own, engine, weights, quiet, Lineage("twin-tiny", "1"))
            await chain.warm_up()
            seconds[name] = []
            for question in questions(100):
                started = time.perf_counter()
                prompt = await chain.prepare(Query(question=question))
                seconds[name].append(time.perf_counter() - started)
                requests[question] = EngineRequest(prompt.ids, (), prompt.params)
        loads = {}
        for count in STREAMS:
            asked = questions(max(ANSWERS, count))
            loads[count] = await streams(count, asked, lambda q: ask_engine(engine, requests[q]))
        await engine.close()
        return loads, seconds

    return asyncio.run(measure())


@pytest.fixture(scope="module")
def platform(world, raw):
    settings, environment, _, _ = world
    with running(settings, environment) as platform:
        servers.wait_until(lambda: answers(platform), "an answer", 300, pause=1)
        yield platform


def answers(platform):
    with platform.client() as client:
        body = {"question": "Why pods?", "max_tokens": 2}
        return client.post("/v1/answers", json=body).is_success


def client(platform):
    return httpx.AsyncClient(
        base_url=platform.settings.endpoint_url,
        headers={"Authorization": f"Bearer {KEY}"},
        timeout=300,
        limits=httpx.Limits(max_connections=200),
    )


def middle(answers):
    return statistics.median(answer.first for answer in answers)


def body(question, **more):
    return {
        "model": "twin-tiny",
        "messages": [{"role": "user", "content": question}],
        "max_tokens": TOKENS,
        **more,
    }


def test_retrieval_and_prompt(raw):
    """MaxSim is what a recipe with some hundred passages turns on; most of 10,000 it meets anew."""
    for name, seconds in raw[1].items():
        p50, p95 = statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1]
        print(
            f"\nretrieval and prompt, {CHUNKS:,} chunks, {name}: p50 {p50 * 1e3:.0f} ms, "
            f"p95 {p95 * 1e3:.0f} ms"
        )


def test_tokens_a_second(platform, raw):
    loads, _ = raw

    async def measure():
        async with client(platform) as http:
            for count, alone in loads.items():
                asked = questions(max(ANSWERS, count))
                load = await streams(count, asked, lambda q: ask_endpoint(http, body(q)))
                print(
                    f"{count:>3} streams: endpoint {load.tokens_a_second:.1f} tokens/s, "
                    f"first after {load.first:.2f} s; raw engine {alone.tokens_a_second:.1f} "
                    f"tokens/s, {alone.first:.2f} s; "
                    f"ratio {load.tokens_a_second / alone.tokens_a_second:.2f}"
                )

    asyncio.run(measure())


def test_a_long_system_text_delays_others_by_a_batch_step(platform):
    async def measure():
        async with client(platform) as http:
            alone = [await ask_endpoint(http, body(q, max_tokens=16)) for q in questions(3, "a")]
            system = {"role": "system", "content": "Answer in rhyme. " * (40_000 // 17)}
            long = body("Why pods?")
            long["messages"] = [system, *long["messages"]]
            filling = asyncio.create_task(ask_endpoint(http, long))
            await asyncio.sleep(1.5)
            beside = [await ask_endpoint(http, body(q, max_tokens=16)) for q in questions(3, "b")]
            whole = await filling
            print(
                f"first token of a short question: {middle(alone):.2f} s alone, "
                f"{middle(beside):.2f} s beside a prompt of "
                f"{whole.prompt_tokens:,} tokens, which took {whole.first:.1f} s to its own"
            )

    asyncio.run(measure())
