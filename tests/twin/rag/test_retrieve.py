"""Retrieval over a real index of real chunks."""
# ruff: noqa: RUF001 - letters that look like others are tested too

from pathlib import Path

import pytest

from tests.twin.features.documents import make
from twin.domain.errors import BadDataError
from twin.features.chunker import Chunker
from twin.models.embedder import load_embedder
from twin.rag.retrieve import Retriever
from twin.settings import Settings
from twin.stores.embedded_index import EmbeddedIndex
from twin.stores.index import ChunkFilter, IndexedDocument, IndexSpec

ARTICLES = {
    "Pods": "Each task is started in a container of its own, so that no task can harm another.",
    "Codes": "Exit status 75 means: try again later. Exit status 65 means the data are bad.",
    "Gate": "A candidate must beat the champion's perplexity before it is promoted.",
    "Rollback": "Weights are put back to the former version, which is still loaded.",
    "Übung": "Das Wort Donaudampfschifffahrt steht nur hier.",
}


@pytest.fixture(scope="module")
def embedder():
    return load_embedder("all-minilm-l6-v2", Settings())


@pytest.fixture(scope="module")
def index(embedder, tmp_path_factory: pytest.TempPathFactory) -> EmbeddedIndex:
    folder: Path = tmp_path_factory.mktemp("index")
    return filled(EmbeddedIndex(folder / "toy", "toy"), embedder)


def filled(index: EmbeddedIndex, embedder) -> EmbeddedIndex:
    chunker = Chunker(embedder, 100)
    documents = [make(title, text) for title, text in ARTICLES.items()]
    spec = IndexSpec(embedder=embedder.id, chunker=chunker.version)
    with index.write(spec, embedder.dimension) as writer:
        for document in documents:
            chunks = chunker.chunks(document)
            vectors = embedder.encode([chunk.embedded_text for chunk in chunks])
            writer.upsert([IndexedDocument(document.id, document.revision, chunks, vectors)])
        writer.publish()
    return index


@pytest.fixture(scope="module")
def retriever(index, embedder) -> Retriever:
    return Retriever(index.read(), embedder)


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("How are jobs isolated from each other?", "Pods"),
        ("What does 75 mean?", "Codes"),
        ("Which version is loaded after things went wrong?", "Rollback"),
        ("What must a candidate beat to be promoted?", "Gate"),
        ("𝐃onaudampfschifffahrt", "Übung"),
    ],
)
def test_questions_find_their_passage_first(retriever, question, title):
    first = retriever.search(question, 3)[0]
    assert first.title == title
    assert first.text == ARTICLES[title]


def test_passages_carry_rank_score_and_lineage(retriever):
    found = retriever.search("What does exit status 65 mean?", 5)
    assert [passage.rank for passage in found] == [1, 2, 3, 4, 5]
    scores = [passage.score for passage in found]
    assert scores == sorted(scores, reverse=True)
    document = make("Codes", ARTICLES["Codes"])
    first = found[0]
    assert (first.document_id, first.revision, first.url) == (
        document.id,
        document.revision,
        document.url,
    )


def test_filters_narrow_the_search(retriever):
    only = make("Gate", ARTICLES["Gate"]).id
    found = retriever.search("exit status 75", 5, ChunkFilter(equal={"document_id": [only]}))
    assert [passage.title for passage in found] == ["Gate"]


@pytest.mark.parametrize("question", ["?!", "…", "🙂", "-- ' OR 1=1 --"[:2]])
def test_a_question_without_words_finds_nothing(retriever, question):
    assert retriever.search(question, 5) == []


@pytest.mark.parametrize("question", ["", " \n\t"])
def test_an_empty_question_is_refused(retriever, question):
    with pytest.raises(BadDataError, match="empty"):
        retriever.search(question, 5)


@pytest.mark.parametrize(
    "question",
    ["word " * 20_000, "x" * 100_000, "שלום עולם", "什么是版本？", "the of", "\x00a\ud800"],
)
def test_odd_questions_are_answered(retriever, question):
    assert len(retriever.search(question, 2)) == 2


def test_an_index_of_another_embedder_is_refused(index, tmp_path):
    class Other:
        id = "other@0123"

    with pytest.raises(BadDataError, match=r"all-minilm-l6-v2@.* other@0123: run `twin features"):
        Retriever(index.read(), Other())
