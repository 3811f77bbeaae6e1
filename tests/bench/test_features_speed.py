"""`twin features build` against the obvious way, on the same documents in the same run.

The obvious way is what tutorials show: sentence-transformers encodes ten chunks at a time, and the
client upserts four points at a time. Figures are ratios, since the machine is what it is.
"""

import random
import time
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
from twin.models.embedder import load_embedder
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.index import IndexSpec, open_index
from twin.stores.warehouse import open_warehouse

DOCUMENTS = 48
PARAGRAPHS = 14
RECIPE = Recipe.model_validate(
    {
        "name": "bench",
        "author": {"id": "ann", "name": "Ann"},
        "sources": [{"name": "site", "kind": "folder", "path": "."}],
        # The documents are drawn from the same paragraphs.
        "features": {"duplicates": {"enabled": False, "passage_words": 0},
                     "boilerplate": {"enabled": False}},
    }
)  # fmt: skip


def corpus(root: Path, count: int) -> list[Document]:
    """Documents of paragraphs drawn from the handbook."""
    texts = [path.read_text() for path in sorted((root / "include" / "handbook").glob("*.md"))]
    paragraphs = [part for text in texts for part in text.split("\n\n")[1:] if part[:1].isalpha()]
    draw = random.Random(7)
    return [
        make(f"Document {n}", "\n\n".join(draw.sample(paragraphs, PARAGRAPHS)))
        for n in range(count)
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


def obvious_way(chunks: list[Chunk], folder: Path) -> float:
    """Seconds for the chunks, with a model that is loaded already."""
    from qdrant_client import QdrantClient, models
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(load_embedder("all-minilm-l6-v2", Settings()).folder))
    model.encode(["warm"])
    client = QdrantClient(path=str(folder))
    client.create_collection(
        "chunks", models.VectorParams(size=384, distance=models.Distance.COSINE)
    )
    started = time.monotonic()
    points = []
    for start in range(0, len(chunks), 10):
        batch = chunks[start : start + 10]
        vectors = model.encode([chunk.embedded_text for chunk in batch], show_progress_bar=False)
        points += [
            models.PointStruct(id=chunk.id, vector=vector.tolist(), payload=chunk.model_dump())
            for chunk, vector in zip(batch, vectors, strict=True)
        ]
    for start in range(0, len(points), 4):
        client.upsert("chunks", points[start : start + 4])
    client.close()
    return time.monotonic() - started


def our_way(documents: list[Document], settings: Settings) -> tuple[float, int]:
    """Seconds for cutting, embedding, writing, checking and publishing; and chunks."""
    from twin.features.pipeline import embed_here
    from twin.features.plan import Wanted, head_of

    embedder = load_embedder("all-minilm-l6-v2", settings)
    embedder.encode(["warm"])
    chunker = Chunker(embedder, 200, RECIPE.features)
    spec = IndexSpec(embedder=embedder.id, chunker=chunker.version)
    wanted = {document.id: Wanted(head_of(document)) for document in documents}
    started = time.monotonic()
    with open_index(settings, RECIPE).write(spec, embedder.dimension) as writer:
        for embedded in embed_here(chunker, embedder, documents, wanted):
            writer.upsert(embedded.documents)
        writer.publish()
        return time.monotonic() - started, writer.state.chunks


def test_throughput_against_the_obvious_way(settings, root, tmp_path):
    documents = corpus(root, DOCUMENTS)
    chunker = Chunker(load_embedder("all-minilm-l6-v2", settings), 200, RECIPE.features)
    chunks = [chunk for document in documents for chunk in chunker.chunks(document)]
    ours, written = our_way(documents, settings)
    obvious = obvious_way(chunks, tmp_path / "client")
    assert written == len(chunks)
    print(
        f"\n{len(chunks)} chunks: {len(chunks) / ours:.0f}/s, cut, checked and published; the "
        f"obvious way {len(chunks) / obvious:.0f}/s of chunks cut already: {obvious / ours:.1f}x"
    )
    assert obvious / ours > LEAST_RATIO


LEAST_RATIO = 1.5
"""What holds on any processor that we know of; the aim is 5."""


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


def test_memory_does_not_grow_with_the_corpus(settings, root, tmp_path):
    """Each build in a process of its own; four times the documents, the same peak."""
    import json
    import os
    import subprocess

    documents = corpus(root, 4 * DOCUMENTS)
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
