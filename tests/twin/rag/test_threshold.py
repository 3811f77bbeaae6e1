"""The score from which on a passage may answer, found without anyone writing questions."""
# ruff: noqa: RUF001 - questions of other scripts

from dataclasses import dataclass, field

import pytest

from tests.twin.features.documents import make
from tests.twin.rag.test_retrieve import filled
from twin.domain.chunk import Chunk
from twin.models.embedder import load_embedder
from twin.rag import threshold
from twin.rag.retrieve import Retriever
from twin.rag.threshold import find_threshold, foreign_questions
from twin.recipes.retrieval import RetrievalSection
from twin.settings import Settings
from twin.stores.embedded_index import EmbeddedIndex
from twin.stores.index import IndexSpec

SECTIONS = {
    "Why every job is a pod": "A pod states what it needs and gives it back when it ends.",
    "How I roll back": "When a candidate is worse I move the alias back and read the report.",
    "What the gate compares": "The candidate must lose nothing against the champion.",
    "Where passages come from": "Retrieval asks two arms and joins their lists by weight.",
    "When an alert wakes me": "Only what a person must act on tonight may ring the telephone.",
    "Why traces are sampled": "A trace of each request costs more than the request itself.",
    "How weights are shared": "Replicas load one file and the system keeps its pages once.",
    "What a revision is": "The hash of the normalised text: two crawls change nothing.",
    "How secrets travel": "The operator mounts them, and no recipe holds one.",
    "Why queues are bounded": "A queue without a limit turns a slow store into a dead service.",
    "How backups are tried": "Each night one is restored into an empty cluster and compared.",
    "What schemas are for": "They refuse early what would otherwise fail late.",
}
FOREIGN = ["What is the capital of France?", "How do I bake bread?", "怎么煮鸡蛋？"]
OWN = ["Why does each task get a container?", "What do you do when a new version is worse?"]


@pytest.fixture(scope="module")
def embedder():
    return load_embedder("all-minilm-l6-v2", Settings())


@pytest.fixture(scope="module")
def index(embedder, tmp_path_factory):
    documents = [make(heading, text) for heading, text in SECTIONS.items()]
    folder = tmp_path_factory.mktemp("index")
    return filled(EmbeddedIndex(folder / "ops", "ops"), embedder, documents)


def reopened(index, embedder):
    """A writer on what is published."""
    state = index.state()
    return index.write(IndexSpec.model_validate(state.spec.model_dump()), embedder.dimension)


def test_a_new_author_refuses_general_knowledge_without_anyone_writing_questions(index, embedder):
    with reopened(index, embedder) as writer:
        found = find_threshold(writer.state, writer.work, embedder)
        writer.note_min_score(found.score)
        writer.publish()
    assert 0 < found.score < 0.6
    assert found.foreign_refused == pytest.approx(0.95, abs=0.02)
    assert (found.headings, found.own_refused) == (0, None)  # too few to say anything
    reader = index.read()
    assert reader.min_score == found.score
    retriever = Retriever(reader, embedder)
    assert not any(retriever.find(question, 3).answerable for question in FOREIGN)
    assert all(retriever.find(question, 3).answerable for question in OWN)
    # The recipe's own number wins, and 0 is never.
    never = Retriever(reader, embedder, RetrievalSection(min_score=0.0))
    always = Retriever(reader, embedder, RetrievalSection(min_score=1.0))
    assert all(never.find(question, 3).answerable for question in (*FOREIGN, *OWN))
    assert not any(always.find(question, 3).answerable for question in (*FOREIGN, *OWN))


def test_the_authors_own_headings_are_not_refused(monkeypatch, index, embedder):
    """One of them is nearer to nothing than general knowledge is: the threshold goes below it."""
    monkeypatch.setattr(threshold, "FEWEST_HEADINGS", len(SECTIONS))
    with reopened(index, embedder) as writer:
        found = find_threshold(writer.state, writer.work, embedder)
    assert found.headings == len(SECTIONS)
    assert found.own_refused == 0
    assert 0.5 < found.foreign_refused < 0.9


def test_an_index_without_a_threshold_refuses_nothing(index, embedder):
    with reopened(index, embedder) as writer:
        writer.note_min_score(None)
        writer.publish()
    retriever = Retriever(index.read(), embedder)
    assert all(retriever.find(question, 3).answerable for question in FOREIGN)


@dataclass
class Written:
    """An index of passages that are as near to each question as is written down."""

    near: dict[float, float]
    chunks: dict[str, Chunk] = field(default_factory=dict)

    def nearest(self, vector, k):
        [place, *_] = vector
        return [("elsewhere", self.near[place])] if place in self.near else []

    def get(self, ids):
        return {id_: self.chunks[id_] for id_ in ids if id_ in self.chunks}


def test_the_highest_scores_of_foreign_questions_are_let_be(monkeypatch, embedder, index):
    """As of an author who writes about France: most of the others decide."""
    near = {n / 100: 0.1 + n / 1_000 for n in range(98)} | {0.98: 0.8, 0.99: 0.9}
    vectors = [[place] for place in sorted(near)]
    monkeypatch.setattr(threshold, "_foreign_vectors", lambda _: vectors)
    found = find_threshold(index.state(), Written(near), embedder)
    assert found.score == pytest.approx(0.195)
    assert found.foreign_refused == pytest.approx(0.95)
    assert (found.own_refused, found.headings) == (None, 0)


def test_nothing_is_found_without_a_passage(tmp_path, embedder):
    spec = IndexSpec(embedder=embedder.id, chunker="none")
    with EmbeddedIndex(tmp_path / "none", "none").write(spec, embedder.dimension) as writer:
        assert find_threshold(writer.state, writer.work, embedder) is None


def test_the_questions_are_many_short_and_of_many_languages():
    questions = foreign_questions()
    assert len(questions) >= 100
    assert len(set(questions)) == len(questions)
    assert max(map(len, questions)) < 80
    assert any(not question.isascii() for question in questions)
