"""What citing an answer costs after its last word (`make bench-support`).

Each written answer of the handbook with the three passages most alike to its question, on one
thread as in a version's replica. Passages are embedded while the engine writes, so what their
embedding costs is printed beside it and delays nobody; they are new to the verifier each time.
"""

import statistics
import time

import numpy as np
import pytest

from tests.bench.retrieval.questions import chunks_of, handbook
from tests.conftest import ROOT
from twin.datasets.written_file import read_written
from twin.domain.answer import Passage
from twin.domain.chunk import Chunk
from twin.features.chunker import Chunker
from twin.models.embedder import load_embedder
from twin.rag.citations import Citer
from twin.rag.support import SupportVerifier
from twin.recipes import load_recipe
from twin.settings import get_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MOST_MS = 60
#: Of some five hundred answers.
EVERY = 4


def passage(chunk: Chunk) -> Passage:
    kept = chunk.model_dump(include={"document_id", "revision", "url", "title", "headings", "text"})
    return Passage(rank=1, score=1.0, chunk_id=chunk.id, **kept)


def test_citing_takes_at_most_60_ms_after_the_last_word():
    recipe = load_recipe("handbook", ROOT / "include" / "recipes")
    settings = get_settings().model_copy(update={"threads": 1})
    embedder = load_embedder(recipe.features.embedder, settings)
    articles = handbook()
    chunks = chunks_of(articles, Chunker(embedder, recipe.features.chunk_tokens))
    texts = [passage(chunk) for own in chunks for chunk in own]
    vectors = np.array(embedder.encode([text.text for text in texts]))
    before, after, supported, sentences = [], [], 0, 0
    questions = [q for q in read_written(ROOT / recipe.datasets.written) if q.support]
    for asked in questions[::EVERY]:
        [question] = np.array(embedder.encode_questions([asked.question]))
        shown = [texts[place] for place in np.argsort(-(vectors @ question))[:3]]
        citer = Citer(SupportVerifier(embedder))
        started = time.perf_counter()
        citer.prepare(shown)
        middle = time.perf_counter()
        found = citer.cite(asked.answer, shown)
        before.append(1000 * (middle - started))
        after.append(1000 * (time.perf_counter() - middle))
        sentences += len(found)
        supported += sum(each.supported for each in found)
    for name, each in (("passages, meanwhile", before), ("after the last word", after)):
        p95 = sorted(each)[int(0.95 * len(each))]
        print(f"{name}: p50 {statistics.median(each):.1f} ms, p95 {p95:.1f} ms")
    print(f"{len(after)} answers, {sentences} sentences, {supported} supported")
    assert statistics.median(after) <= MOST_MS
