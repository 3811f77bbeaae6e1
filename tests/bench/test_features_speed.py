"""`twin features build` against the obvious way, on the same documents in the same run.

The obvious way is what tutorials show: sentence-transformers encodes ten chunks at a time in
float32, and the client upserts four points at a time into a store in a folder, as ours is. It is
given our chunks; the build reads, compares, cleans and cuts the documents itself, finds their
languages, embeds, writes, checks and publishes. Figures are ratios, since the machine is what it
is; the ways take turns, part by part of the corpus, so that other load meets all of them.
"""

import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests import servers
from tests.twin.features.documents import make
from twin.domain.chunk import Chunk
from twin.domain.document import Document
from twin.domain.errors import NothingToDo
from twin.domain.result import JobResult
from twin.features.build import build
from twin.features.chunker import Chunker
from twin.job import Job
from twin.models.embedder import INT8, load_embedder
from twin.recipes import FeaturesSection, Recipe
from twin.settings import Settings
from twin.stores.index import open_index
from twin.stores.warehouse import open_warehouse

DOCUMENTS = int(os.environ.get("TWIN_BENCH_DOCUMENTS", "120"))
"""With some nine chunks each: about a minute of the obvious way on two idle cores."""

PARTS = 3

LEAST_RATIO = 2.5
"""What must hold of the default on any processor with AVX-512. The aim is 5, which is out of reach
where integers are multiplied only four times as fast as floats: there the products alone take
three quarters of what a fifth of the obvious way's time allows."""

EMBEDDERS = (FeaturesSection().embedder, FeaturesSection().embedder.removesuffix(INT8))

RECIPE = Recipe.model_validate(
    {
        "name": "bench",
        "author": {"id": "ann", "name": "Ann"},
        "sources": [{"name": "site", "kind": "folder", "path": "."}],
        # The documents are drawn from the same sections.
        "features": {"duplicates": {"enabled": False, "passage_words": 0},
                     "boilerplate": {"enabled": False}},
    }
)  # fmt: skip


def corpus(root: Path, count: int) -> list[Document]:
    """Posts and articles (one to thirty sections) of sections drawn from the handbook."""
    sections = [
        section
        for path in sorted((root / "include" / "handbook").glob("*.md"))
        for section in re.split(r"\n(?=## )", path.read_text())[1:]
    ]
    draw = random.Random(7)
    lengths = [min(30, max(1, round(draw.lognormvariate(1.6, 0.8)))) for _ in range(count)]
    return [
        make(f"Document {n}", "\n\n".join(draw.sample(sections, min(length, len(sections)))))
        for n, length in enumerate(lengths)
    ]


@pytest.fixture
def settings(tmp_path: Path, root: Path):
    with servers.warehouse_server(tmp_path / "warehouse") as (uri, _, _):
        yield Settings(
            home=tmp_path / "home",
            recipes=root / "include" / "recipes",
            mongo_uri=SecretStr(uri),
            mongo_database="bench",
        )


@dataclass
class Spent:
    """Seconds by the clock and of the processors."""

    wall: float = 0.0
    processor: float = 0.0

    @contextmanager
    def measured(self) -> Iterator[None]:
        started = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - started[0]
        self.processor += time.process_time() - started[1]


class ObviousWay:
    """A model that is loaded already, and a new collection each time."""

    def __init__(self, settings: Settings) -> None:
        from sentence_transformers import SentenceTransformer

        folder = load_embedder(EMBEDDERS[0], settings).folder
        self.model = SentenceTransformer(str(folder), device="cpu")
        self.model.encode(["warm"])
        self.embedding, self.upserting = Spent(), Spent()

    def index(self, chunks: list[Chunk], folder: Path) -> None:
        from qdrant_client import QdrantClient, models

        client = QdrantClient(path=str(folder))
        client.create_collection(
            "chunks", models.VectorParams(size=384, distance=models.Distance.COSINE)
        )
        points = []
        with self.embedding.measured():
            for start in range(0, len(chunks), 10):
                batch = chunks[start : start + 10]
                texts = [chunk.embedded_text for chunk in batch]
                vectors = self.model.encode(texts, show_progress_bar=False)
                points += [
                    models.PointStruct(id=chunk.id, vector=vector.tolist(), payload=payload)
                    for chunk, vector in zip(batch, vectors, strict=True)
                    if (payload := chunk.model_dump())
                ]
        with self.upserting.measured():
            for start in range(0, len(points), 4):
                client.upsert("chunks", points[start : start + 4], wait=True)
            client.close()


def built(
    documents: list[Document], settings: Settings, embedder: str, monkeypatch
) -> Callable[[Spent], int]:
    """A build of these documents alone, to be measured, with a model that is loaded already."""
    name = f"bench-{documents[0].id[:8]}-{embedder.replace(':', '-')}"
    author = RECIPE.author.model_copy(update={"id": name})
    recipe = RECIPE.model_copy(update={"name": name, "author": author})
    loaded = load_embedder(embedder, settings)
    loaded.encode(["warm"])
    monkeypatch.setattr("twin.features.build.load_embedder", lambda *_, **__: loaded)
    with open_warehouse(settings) as warehouse:
        for document in documents:
            own = {"author_id": name, "id": f"{document.id}-{embedder}"}
            warehouse.upsert(document.model_copy(update=own))
    job = Job(recipe, settings, "r", JobResult(job="b", recipe=name, run_id="r"))

    def run(spent: Spent) -> int:
        with spent.measured():
            build(job)
        return open_index(settings, recipe).state().chunks

    return run


@pytest.mark.timeout(1_200)
def test_throughput_against_the_obvious_way(settings, root, tmp_path, monkeypatch):
    """A minute or two, of which the obvious way takes most. Buys: the point of this stage."""
    documents = corpus(root, DOCUMENTS)
    chunker = Chunker(load_embedder(EMBEDDERS[0], settings), 200, RECIPE.features)
    obvious, count = ObviousWay(settings), 0
    ours = {embedder: Spent() for embedder in EMBEDDERS}
    for part in range(PARTS):
        some = documents[part::PARTS]
        chunks = [chunk for document in some for chunk in chunker.chunks(document)]
        count += len(chunks)
        obvious.index(chunks, tmp_path / f"client{part}")
        for embedder, spent in ours.items():
            assert built(some, settings, embedder, monkeypatch)(spent) == len(chunks)
    wall = obvious.embedding.wall + obvious.upserting.wall
    processor = obvious.embedding.processor + obvious.upserting.processor
    print(
        f"\n{count} chunks of {len(documents)} documents\n"
        "\n| | chunks/s | by the clock | by processor seconds |\n|---|---|---|---|"
        f"\n| the obvious way ({100 * obvious.embedding.wall / wall:.0f} % of it embedding) "
        f"| {count / wall:.0f} | 1 | 1 |"
    )
    for embedder, spent in ours.items():
        print(
            f"| `{embedder}` | {count / spent.wall:.0f} | {wall / spent.wall:.1f}x "
            f"| {processor / spent.processor:.1f}x |"
        )
    assert wall / ours[EMBEDDERS[0]].wall > LEAST_RATIO


def test_a_second_run_costs_nothing(settings, root):
    documents = corpus(root, DOCUMENTS)
    with open_warehouse(settings) as warehouse:
        for document in documents:
            warehouse.upsert(document)

    job = Job(RECIPE, settings, "r", JobResult(job="b", recipe="bench", run_id="r"))
    started = time.monotonic()
    build(job)
    first = time.monotonic() - started
    started = time.monotonic()
    with pytest.raises(NothingToDo):
        build(job)
    second = time.monotonic() - started
    print(f"\nfirst run {first:.2f} s, second {second:.3f} s: {100 * second / first:.2f} %")
    assert second <= 0.02 * first


@pytest.mark.timeout(1_200)
def test_memory_does_not_grow_with_the_corpus(settings, root, tmp_path):
    """Each build in a process of its own; four times the documents, the same peak."""
    import json
    import os
    import subprocess

    documents = corpus(root, 4 * DOCUMENTS)
    load_embedder(EMBEDDERS[0], settings).encode(["warm"])  # converts it, once and for all
    peaks = []
    for count in (DOCUMENTS, 4 * DOCUMENTS):
        recipe = RECIPE.model_dump(mode="json", exclude_defaults=True) | {"name": f"bench{count}"}
        path, result = tmp_path / f"bench{count}.yaml", tmp_path / f"result{count}.json"
        path.write_text(json.dumps(recipe))
        with open_warehouse(settings) as warehouse:
            for document in documents[:count]:
                warehouse.upsert(document)
        environment = {
            **os.environ,
            "TWIN_HOME": str(settings.home),
            "TWIN_MONGO_URI": settings.mongo_uri.get_secret_value(),
            "TWIN_MONGO_DATABASE": settings.mongo_database,
        }
        subprocess.run(
            [str(servers.BIN / "twin"), "features", "build", "--recipe", str(path),
             "--result", str(result)],
            env=environment, check=True, capture_output=True,
        )  # fmt: skip
        peaks.append(json.loads(result.read_text())["peak_memory_mb"])
    print(f"\npeak {peaks[0]:.0f} MB for {DOCUMENTS} documents, {peaks[1]:.0f} MB for four times")
    assert peaks[1] < 1.15 * peaks[0]
