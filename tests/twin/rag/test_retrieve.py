"""Retrieval over a real index of real chunks."""
# ruff: noqa: RUF001 - letters that look like others are tested too

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.twin.features.documents import make
from twin.domain.errors import BadDataError
from twin.features.chunker import Chunker
from twin.models.embedder import load_embedder
from twin.models.language_model import Generation
from twin.rag.rerank import MaxSim
from twin.rag.retrieve import Retriever
from twin.recipes.retrieval import RetrievalSection
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


def filled(index: EmbeddedIndex, embedder, documents=None) -> EmbeddedIndex:
    """The index with a release of these documents, or else of the articles."""
    chunker = Chunker(embedder, 100)
    documents = documents or [make(title, text) for title, text in ARTICLES.items()]
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


def knobs(**fields) -> RetrievalSection:
    return RetrievalSection(**fields)


def titles(passages) -> list[str]:
    return [passage.title for passage in passages]


@pytest.mark.parametrize("arms", ["dense", "sparse", "hybrid"])
@pytest.mark.parametrize("fusion", ["rrf", "weighted"])
def test_every_arm_and_fusion_finds_what_shares_words_and_meaning(index, embedder, arms, fusion):
    found = Retriever(index.read(), embedder, knobs(arms=arms, fusion=fusion)).search(
        "Exit status 65 means bad data", 3
    )
    assert found[0].title == "Codes"
    scores = [passage.score for passage in found]
    assert scores == sorted(scores, reverse=True)


def test_at_the_ends_the_weight_is_one_arm(index, embedder):
    question = "status of weights"
    for weight, arm in ((1.0, "dense"), (0.0, "sparse")):
        weights = knobs(dense_weight=weight, dense_weight_matched=weight)
        weighted = Retriever(index.read(), embedder, weights)
        alone = Retriever(index.read(), embedder, knobs(arms=arm))
        first = alone.search(question, 1)
        assert weighted.search(question, 1)[0].chunk_id == first[0].chunk_id


def test_the_keyword_arm_weighs_more_where_a_passage_holds_every_word(index, embedder):
    def shares(question):
        found = Retriever(index.read(), embedder, knobs()).search(question, 5)
        return {passage.title: passage.score for passage in found}

    # Each arm's best has its whole weight: all words are held, so the sparse arm's is the larger.
    assert shares("status means")["Codes"] >= 0.7
    assert shares("Donaudampfschifffahrt")["Übung"] >= 0.7
    few = knobs(arms="hybrid", dense_weight=0.7, dense_weight_matched=0.7)
    before = Retriever(index.read(), embedder, few).search("Donaudampfschifffahrt", 5)
    assert shares("Donaudampfschifffahrt")["Übung"] >= before[0].score


def test_a_platform_in_the_question_narrows_the_search(embedder, tmp_path):
    index = EmbeddedIndex(tmp_path / "toy", "toy")
    documents = [
        make(f"Boats on {platform}", "Boats float on water.", platform=platform)
        for platform in ("medium", "linkedin")
    ]
    filled(index, embedder, documents)
    found = Retriever(index.read(), embedder).find("What did you write on LinkedIn on boats?", 5)
    assert titles(found.passages) == ["Boats on linkedin"]
    assert found.notes == ("searched only what is platform = linkedin",)


def test_a_question_far_from_all_texts_is_not_answerable(index, embedder):
    retriever = Retriever(index.read(), embedder, knobs(min_score=0.3))
    near = retriever.find("How are tasks kept in containers?", 3)
    far = retriever.find("How do I bake sourdough bread?", 3)
    assert near.answerable
    assert near.similarity > 0.3 > far.similarity
    assert not far.answerable
    assert Retriever(index.read(), embedder).find("How do I bake sourdough bread?", 3).answerable


def test_a_filter_of_the_question_narrows_and_says_so(dated, embedder):
    found = Retriever(dated.read(), embedder).find("posts from 2021 about boats", 5)
    assert titles(found.passages) == ["Boats 2021"]
    [note] = found.notes
    assert note == (
        "searched only what is kind = article or post, published from 2021-01-01, "
        "published before 2022-01-01"
    )


def test_a_filter_that_leaves_nothing_is_dropped_with_a_note(dated, embedder):
    found = Retriever(dated.read(), embedder).find("posts from 1999 about boats", 5)
    assert len(found.passages) == 2
    assert "without this filter" in found.notes[0]
    off = Retriever(dated.read(), embedder, knobs(self_query=False))
    assert len(off.find("posts from 2021 about boats", 5).passages) == 2


def test_a_callers_filter_is_never_dropped(dated, embedder):
    nobody = ChunkFilter(equal={"author_id": ["nobody"]})
    assert Retriever(dated.read(), embedder).search("posts from 2021 about boats", 5, nobody) == []


KEYS = "\n\n".join(
    f"## {topic}\n\n{topic} matter. {said}"
    for topic, said in (
        ("Ropes", "A rope is thick. " * 12),
        ("Keys", "The rope's key is AKIAIOSFODNN7EXAMPLE, which nobody may know. " * 3),
        ("Sails", "A sail is wide. " * 12),
    )
)


@pytest.fixture(scope="module")
def with_a_key(embedder, tmp_path_factory) -> EmbeddedIndex:
    index = EmbeddedIndex(tmp_path_factory.mktemp("key") / "toy", "toy")
    return filled(
        index, embedder, [make("Ships", KEYS, published=datetime(2021, 5, 1, tzinfo=UTC))]
    )


@pytest.mark.parametrize("context", ["chunk", "neighbours", "parent"])
@pytest.mark.parametrize("question", ["the rope's key", "posts from 2021 about the rope's key"])
def test_passages_that_a_recipe_leaves_out_are_neither_found_nor_shown(
    with_a_key, embedder, context, question
):
    def shown(**changed: object) -> str:
        found = Retriever(with_a_key.read(), embedder, knobs(context=context, **changed))
        return "".join(passage.text for passage in found.find(question, 5).passages)

    assert "AKIA" in shown()
    assert "AKIA" in shown(leave_out=("PERSON",))
    rest = shown(leave_out=("SECRET_KEY",))
    assert "A rope is thick." in rest
    assert "AKIA" not in rest


@pytest.fixture(scope="module")
def dated(embedder, tmp_path_factory) -> EmbeddedIndex:
    index = EmbeddedIndex(tmp_path_factory.mktemp("dated") / "toy", "toy")
    chunker = Chunker(embedder, 100)
    spec = IndexSpec(embedder=embedder.id, chunker=chunker.version)
    with index.write(spec, embedder.dimension) as writer:
        for year in (2021, 2023):
            document = make(
                f"Boats {year}", "A boat sails.", published=datetime(year, 5, 1, tzinfo=UTC)
            )
            chunks = chunker.chunks(document)
            vectors = embedder.encode([chunk.embedded_text for chunk in chunks])
            writer.upsert([IndexedDocument(document.id, document.revision, chunks, vectors)])
        writer.publish()
    return index


PARTS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
]
LONG = "\n\n".join(
    f"## {topic}\n\n{topic} matter. "
    + " ".join(f"The {part} thing to say of {topic} is long and plain." for part in PARTS)
    for topic in ("Ropes", "Sails", "Anchors", "Lamps")
)


@pytest.fixture(scope="module")
def long(embedder, tmp_path_factory) -> EmbeddedIndex:
    index = EmbeddedIndex(tmp_path_factory.mktemp("long") / "toy", "toy")
    chunker = Chunker(embedder, 100)
    spec = IndexSpec(embedder=embedder.id, chunker=chunker.version)
    document = make("Ships", LONG)
    chunks = chunker.chunks(document)
    assert len(chunks) > 4
    with index.write(spec, embedder.dimension) as writer:
        vectors = embedder.encode([chunk.embedded_text for chunk in chunks])
        writer.upsert([IndexedDocument(document.id, document.revision, chunks, vectors)])
        writer.publish()
    return index


def test_a_parent_is_the_whole_section_and_nothing_is_said_twice(long, embedder):
    found = Retriever(long.read(), embedder, knobs(context="parent")).find("anchors", 2)
    first = found.passages[0]
    assert first.headings == ("Anchors",)
    assert first.text.count("Anchors matter.") == 1
    assert [part for part in PARTS if first.text.count(part) != 1] == []
    assert first.joined
    everything = "".join(passage.text for passage in found.passages)
    assert everything.count("Anchors matter.") == 1


def test_neighbours_come_with_a_hit(long, embedder):
    alone = Retriever(long.read(), embedder).find("lamps", 1).passages[0]
    wide = Retriever(long.read(), embedder, knobs(context="neighbours")).find("lamps", 1)
    assert alone.text in wide.passages[0].text
    assert len(wide.passages[0].text) > len(alone.text)
    assert wide.passages[0].chunk_id == alone.chunk_id


def test_diversity_brings_passages_less_alike(long, embedder):
    def likeness(**fields):
        found = Retriever(long.read(), embedder, knobs(**fields)).search("anchors", 4)
        assert len(found) == 4
        one, *others = embedder.encode([passage.text for passage in found])
        return sum(sum(a * b for a, b in zip(one, other, strict=True)) for other in others)

    assert likeness(mmr_lambda=0.2) < likeness(mmr_lambda=1.0) - 0.1


def test_what_a_document_says_again_word_for_word_is_found_once(embedder, tmp_path):
    refrain = "The tide turns at noon and the harbour fills with boats. " * 4
    verses = "\n\n".join(f"## Verse\n\n{refrain}\n\n## {n}\n\nWords of {n}. " * 3 for n in "ABC")
    index = filled(EmbeddedIndex(tmp_path / "song", "song"), embedder, [make("Song", verses)])
    chunks = [chunk for chunk in index.read().chunks() if "tide" in chunk.text]
    assert len({chunk.text for chunk in chunks}) < len(chunks)
    found = Retriever(index.read(), embedder).search("when does the tide turn", 5)
    passages = [passage.text for passage in found]
    assert len(set(passages)) == len(passages) > 1


def test_maxsim_orders_by_its_own_scores(index, embedder):
    retriever = Retriever(index.read(), embedder, knobs(), reranker=MaxSim(embedder))
    found = retriever.search("Which exit status means bad data?", 3)
    assert found[0].title == "Codes"
    assert 1 >= found[0].score >= found[1].score >= found[2].score > 0


def test_expansion_finds_what_only_another_wording_meets(index, embedder):
    class Writer:
        def generate(self, messages, params):
            return Generation("Donaudampfschifffahrt", "stop", 1, 1)

    def first(**fields):
        retriever = Retriever(
            index.read(), embedder, knobs(arms="sparse", **fields), writer=Writer()
        )
        return titles(retriever.search("river steamers", 1))

    assert first() == []
    assert first(expansion="multi_query") == ["Übung"]
