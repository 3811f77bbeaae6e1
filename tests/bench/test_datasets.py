"""Making samples: passages a second, growth, and a teacher that fails (`make bench-datasets`).

Prints tables, and leaves them in build/bench-datasets.
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests import tiny_model
from tests.bench.retrieval.questions import BLOG, blog, chunks_of
from tests.conftest import ROOT
from tests.openai_server import openai_server
from tests.servers import mlflow_server
from tests.teacher_server import Teacher
from tests.twin import corpora
from twin.datasets.audit import audit
from twin.datasets.audit_rows import read_rows
from twin.datasets.make import make_samples
from twin.domain.chunk import Chunk
from twin.domain.errors import NothingToDo
from twin.domain.result import JobResult
from twin.domain.sample import Split
from twin.features.chunker import chunker_of_recipe
from twin.job import Job
from twin.models.embedder import load_embedder
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.files import open_files
from twin.stores.index import IndexedDocument, IndexSpec, open_index
from twin.stores.kept_replies import KeptReplies
from twin.stores.pair_sets import PairSets
from twin.stores.sample_sets import SampleSets, replies_of
from twin.training.pairs import run_pairs
from twin.training.sft import run_sft

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]

OUTPUT = ROOT / "build" / "bench-datasets"
SIZES = (2_000, 5_000, 20_000, 50_000, 100_000)
WANTED = 300
"""Passages in a second of one core's time, which other work on the machine does not change."""
SLOWER = 0.8
"""Share of the speed at 5,000 passages that is left at the most."""
MEMORY = 600
"""MiB at any size: what a job has beside its models."""

PAIRS = {"max_pairs": 1_200, "max_tokens": 128, "max_held_out": 0}
"""Of preference pairs by a real author, with the usual three candidates each."""
SFT = {"max_steps": 30, "batch_size": 2, "learning_rate": 2e-4}
"""Before them: enough that the model writes about as much as the author does."""

LEAKS = (
    "training answers that are held out too",
    "training answers that are nearly held out",
    "training rows of held-out sources",
)
"""What the audit counts that both sides of a split may not have in common."""

KILLS = 100
DOCUMENTS = 120
"""Enough that a job is killed so often before it comes to its end."""
TWIN = str(Path(sys.executable).with_name("twin"))
FAULTS = {"429": 0.05, "500": 0.05, "silent": 0.01, "cut": 0.05, "no choices": 0.05,
          "hangs up": 0.05, "junk": 0.1, "excuse": 0.02}  # fmt: skip


def keep(name: str, header: str, rows: list[str]) -> None:
    """Print a table and leave it in a file."""
    lines = [header, "|" + "---|" * (header.count("|") - 1), *rows]
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / name).write_text("\n".join(lines) + "\n")
    print("\n" + "\n".join(lines))


def measured(passages: int, shards: int = 1) -> dict:
    """What making the samples of so many passages takes, in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.datasets_corpus", str(passages), str(shards)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_cost_grows_with_passages_and_memory_hardly():
    """Minutes. Buys: the promised passages a second, and proof that no step is quadratic."""
    found = [measured(size) for size in SIZES]
    first = found[0]["seconds"] / found[0]["passages"]
    rows = []
    for each in found:
        passages = each["passages"]
        a_passage = each["seconds"] / passages
        rows.append(
            f"| {passages:,} | {each['samples']:,} | {1 / a_passage:,.0f} | "
            f"{passages / each['waited']:,.0f} | {1_000 * a_passage:.2f} | "
            f"{a_passage / first:.2f} | {each['peak_mib']:,.0f} |"
        )
    keep(
        "speed.md",
        "| passages | samples | a core's second | a second here | ms a passage | ratio | MiB |",
        rows,
    )
    speeds = [each["passages"] / each["seconds"] for each in found]
    assert min(speeds) >= WANTED
    assert speeds[-1] >= SLOWER * speeds[1]
    assert max(each["peak_mib"] for each in found) <= MEMORY


def test_shards_share_the_work():
    """Minutes. Buys: how much of a job N pods take off it."""
    alone, shared = measured(20_000), measured(20_000, 4)
    longest = max(shared["of_shards"])
    join = shared["seconds"] - sum(shared["of_shards"])
    rows = [
        f"| 1 | {alone['seconds']:.0f} | | {alone['seconds']:.0f} |",
        f"| 4 | {join:.0f} | {longest:.0f} | {longest + join:.0f} |",
    ]
    keep("shards.md", "| shards | joining, s | the longest shard, s | till the end, s |", rows)
    assert shared["samples"] == alone["samples"]
    assert longest + join < alone["seconds"]


def index_blog(settings: Settings, recipe: Recipe) -> list[list[Chunk]]:
    """Index the real author's articles; returns the chunks of each."""
    embedder = load_embedder(recipe.features.embedder, settings)
    articles = chunks_of(blog(), chunker_of_recipe(recipe, embedder))
    spec = IndexSpec(embedder=embedder.id, chunker=articles[0][0].chunker)
    with open_index(settings, recipe).write(spec, embedder.dimension) as writer:
        for own in articles:
            vectors = embedder.encode([chunk.embedded_text for chunk in own])
            document = IndexedDocument(own[0].document_id, own[0].revision, own, vectors)
            writer.upsert([document])
        writer.publish()
    return articles


@pytest.mark.skipif(not BLOG.is_dir(), reason="no copy of the blog here (TWIN_SAMPLE_SITES)")
def test_a_real_author_of_fifty_long_articles_without_a_teacher(tmp_path):
    """A minute. Buys: enough samples of a real author, every answer verbatim, and no leak."""
    settings = Settings(home=tmp_path, recipes=tmp_path / "recipes")
    recipe = corpora.write_recipe(settings.recipes, Path("none"), datasets={"max_samples": 100_000})
    articles = index_blog(settings, recipe)
    result = JobResult(job="datasets make", recipe="ann", run_id="r")
    make_samples(Job(recipe, settings, "r", result))
    sets = SampleSets(open_files(settings), "ann")
    version = sets.latest().version
    samples = [sample for split in Split for sample in sets.instruct(version, split)]
    texts = {chunk.id: chunk.text for own in articles for chunk in own}
    verbatim = sum(sample.answer in texts[sample.chunk_id] for sample in samples)
    rows = read_rows(settings.home / "files" / sets.folder(version))
    leaks = {each.name: each.value for each in audit(rows, recipe.audit).findings}
    shared = [leaks[name] for name in LEAKS]
    words = sum(len(text.split()) for text in texts.values())
    figures = (len(articles), words, len(texts), len(samples), verbatim, *map(int, shared))
    keep(
        "author.md",
        "| articles | words | chunks | samples | verbatim | answers shared | nearly | documents |",
        [f"| {' | '.join(f'{figure:,}' for figure in figures)} |"],
    )
    assert len(articles) >= 50
    assert len(samples) >= 1_500
    assert verbatim == len(samples)
    assert shared == [0, 0, 0]


@pytest.mark.skipif(not BLOG.is_dir(), reason="no copy of the blog here (TWIN_SAMPLE_SITES)")
def test_a_real_author_gives_preference_pairs():
    """An hour; resumable. Buys: enough pairs of a real author, that length does not tell apart.

    By the smaller packaged base model after a few steps of training.
    """
    home = OUTPUT / "pairs"
    home.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(home / "mlflow", ignore_errors=True)
    with mlflow_server(home / "mlflow") as url:
        settings = Settings(home=home, recipes=home / "recipes", mlflow_tracking_uri=url)
        recipe = corpora.write_recipe(
            settings.recipes,
            Path("smollm2-135m-instruct"),
            datasets={"max_samples": 100_000},
            training={"sft": SFT, "dpo": {"pairs": PAIRS}},
        )
        if open_index(settings, recipe).state() is None:
            index_blog(settings, recipe)
        for stage, run in (("make", make_samples), ("sft", run_sft), ("pairs", run_pairs)):
            with contextlib.suppress(NothingToDo):
                run(Job(recipe, settings, "r", JobResult(job=stage, recipe="ann", run_id="r")))
    files = open_files(settings)
    sets, samples = PairSets(files, "ann"), SampleSets(files, "ann").latest().version
    made = sets.manifest(samples, sets.newest(samples))
    dropped = ", ".join(f"{count} {reason}" for reason, count in made.dropped.items())
    keep(
        "pairs.md",
        "| samples written to | texts | dropped | pairs | AUC of length |",
        [f"| {made.samples} | {made.candidates} | {dropped} | {made.pairs} | {made.length_auc} |"],
    )
    assert made.pairs >= 400
    assert 0.4 <= made.length_auc <= 0.6


def article(name: str) -> list[Chunk]:
    """The chunks of an article of English words in an order that no other has."""
    draw = random.Random(name)
    words = sorted({word.lower() for word in re.findall(r"[A-Za-z]{3,}", tiny_model.CORPUS)})
    return [
        chunk.model_copy(
            update={
                "text": " ".join(
                    f"{' '.join(draw.choices(words, k=14)).capitalize()}." for _ in range(5)
                )
            }
        )
        for chunk in corpora.document(name, 4)
    ]


@pytest.fixture
def author(tmp_path):
    """Settings of an author with an index by the real embedder, and what writes its recipe."""
    home = tmp_path / "home"
    settings = Settings(
        home=home, recipes=home / "recipes", mlflow_tracking_uri="http://127.0.0.1:1"
    )
    recipe = corpora.write_recipe(settings.recipes, Path("none"))
    embedder = load_embedder(recipe.features.embedder, settings)
    spec = IndexSpec(embedder=embedder.id, chunker="test-1")
    with open_index(settings, recipe).write(spec, embedder.dimension) as writer:
        for number in range(DOCUMENTS):
            own = article(f"d{number}")
            vectors = embedder.encode([chunk.text for chunk in own])
            writer.upsert([IndexedDocument(own[0].document_id, "r1", own, vectors)])
        writer.publish()
    return settings


def teach(settings: Settings, url: str, tokens: int) -> list[str]:
    """The command that makes samples with the teacher of this address."""
    endpoint = {"base_url": url, "model": "t", "timeout_seconds": 1, "retries": 1, "concurrency": 4}
    teacher = {
        "endpoint": endpoint,
        "kinds": {"instruction": 1.0, "question": 1.0, "rewrite": 1.0},
        "max_tokens": 60,
        "budget": {"tokens": tokens},
    }
    corpora.write_recipe(
        settings.recipes,
        Path("none"),
        datasets={"split_seed": 24, "teacher": teacher, "max_samples": 5_000},
    )
    return [TWIN, "datasets", "make", "--recipe", "ann"]


def test_a_teacher_that_fails_and_a_job_that_is_killed_lose_nothing(author):
    """A quarter of an hour. Buys: no reply is paid for twice, and no passage is lost."""
    teacher = Teacher(faults=FAULTS)
    environment = {**os.environ, **corpora.environment(author)}
    draw = random.Random(3)
    codes: Counter[int] = Counter()
    with openai_server(teacher.answer) as endpoint:
        command = teach(author, endpoint.url, tokens=10_000_000)
        while codes[-signal.SIGKILL] < KILLS and 0 not in codes:  # 0: it came through
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            # Killed at any moment from its first call on, in which a few more come through.
            wait_for_calls(endpoint, process, draw.randint(0, 5))
            time.sleep(draw.random() * 0.2)
            process.send_signal(signal.SIGKILL)
            codes[process.wait()] += 1
        killed = len(endpoint.bodies)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode in {0, 99}, done.stderr[-2_000:]
    kept = KeptReplies(open_files(author), replies_of("ann", "teacher"))
    record = SampleSets(open_files(author), "ann").latest().teacher
    lost = sum(reply.begun for reply in kept)
    twice = sum(count - 1 for count in teacher.answered.values() if count > 1)
    spent = sum(reply.prompt_tokens + reply.answer_tokens for reply in kept)
    tasks = sum(record.outcomes.values())
    unread = sum(n for name, n in record.outcomes.items() if "answered" not in name)
    figures = (codes[-signal.SIGKILL], len(endpoint.bodies), killed, tasks, unread, twice, lost)
    keep(
        "teacher.md",
        "| kills | calls | before the last run | tasks | no reply to be read | paid twice | lost |",
        [f"| {' | '.join(f'{figure:,}' for figure in figures)} |"],
    )
    assert sum(record.outcomes.values()) % 3 == 0, "three tasks of each passage"
    assert twice <= 4 * codes[-signal.SIGKILL], "those on their way at a kill"
    assert lost >= twice, "each of them is noted"
    assert record.tokens >= spent


def wait_for_calls(endpoint, process, more: int) -> None:
    """Wait until a process has made so many further calls, or has ended."""
    wanted = len(endpoint.bodies) + more + 1
    ended = threading.Event()
    while len(endpoint.bodies) < wanted and process.poll() is None:
        ended.wait(0.01)


def test_a_budget_is_kept_through_kills(author):
    """Minutes. Buys: what the teacher bills is within the budget, whatever was killed."""
    teacher = Teacher()
    environment = {**os.environ, **corpora.environment(author)}
    budget = 60_000
    with openai_server(teacher.answer) as endpoint:
        command = teach(author, endpoint.url, tokens=budget)
        for _ in range(10):
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            wait_for_calls(endpoint, process, 5)
            process.send_signal(signal.SIGKILL)
            process.wait()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode in {0, 99}, done.stderr[-2_000:]
    record = SampleSets(open_files(author), "ann").latest().teacher
    billed = 150 * sum(teacher.answered.values())
    keep(
        "budget.md",
        "| budget in tokens | billed by the teacher | counted by the job |",
        [f"| {budget:,} | {billed:,} | {record.tokens:,} |"],
    )
    assert billed <= record.tokens <= budget
    assert record.budget_ended
