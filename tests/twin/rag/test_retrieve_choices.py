"""What retrieval asks of the index, weighs and refuses: a case on each side of every limit."""
# ruff: noqa: RUF001 - letters that look like others are tested too

import json
import math

import pytest

import twin.rag.retrieve
from tests.shared_cases import case
from tests.twin import twins
from tests.twin.features.documents import make
from tests.twin.rag.test_retrieve import filled
from twin.models.embedder import load_embedder
from twin.rag.retrieve import Retriever, make_retriever
from twin.recipes.retrieval import RetrievalSection
from twin.settings import Settings
from twin.stores.embedded_index import EmbeddedIndex
from twin.stores.index import Hit

TEXTS = {
    f"Boat {number}": f"The boat number {number} carries {cargo} to the harbour."
    for number, cargo in enumerate(("rope", "salt", "wool", "iron", "wine"))
}


@pytest.fixture(scope="module")
def embedder():
    return load_embedder("all-minilm-l6-v2", Settings())


@pytest.fixture(scope="module")
def index(embedder, tmp_path_factory) -> EmbeddedIndex:
    folder = tmp_path_factory.mktemp("index")
    documents = [make(title, text) for title, text in TEXTS.items()]
    return filled(EmbeddedIndex(folder / "boats", "boats"), embedder, documents)


class Spy:
    """A real reader that notes what it is asked; its dense scores may be moved."""

    def __init__(self, reader, moved: float = 0.0) -> None:
        self._reader = reader
        self._moved = moved
        self.counts: list[int] = []
        self.texts: list[str] = []
        self.filters: list[object] = []

    @property
    def spec(self):
        return self._reader.spec

    @property
    def min_score(self):
        return self._reader.min_score

    def search(self, dense, text, k, filter=None, *, vectors=False):
        self.counts.append(k)
        self.filters.append(filter)
        hits = self._reader.search(dense, text, k, filter, vectors=vectors)
        if text is not None:
            self.texts.append(text)
            return hits
        return [Hit(hit.chunk, hit.score + self._moved, hit.vector) for hit in hits]

    def get(self, ids):
        return self._reader.get(ids)


def asking(index, embedder, *, moved=0.0, **fields) -> tuple[Retriever, Spy]:
    spy = Spy(index.read(), moved)
    return Retriever(spy, embedder, RetrievalSection(**fields)), spy


@pytest.mark.parametrize("question", ["???", "👍", "。", "…", "?!", "¿¡", "👍🏽 🎉", "- - -", "⚓️"])
@pytest.mark.parametrize("min_score", [0.0, 0.2])
def test_a_question_without_a_word_is_never_answerable(index, embedder, question, min_score):
    retriever, spy = asking(index, embedder, min_score=min_score)
    found = retriever.find(question, 3)
    assert not found.answerable
    assert found.passages == ()
    assert spy.counts == []


def test_shared_case_of_a_question_without_a_word(index, embedder):
    body = json.loads(case("http-W01.json").read_text(encoding="utf-8"))
    found = asking(index, embedder)[0].find(body["messages"][0]["content"], 3)
    assert not found.answerable


@pytest.mark.parametrize("question", ["a", "7", "港", "ก", "ß?"])
def test_a_single_letter_or_digit_is_a_question(index, embedder, question):
    assert asking(index, embedder)[0].find(question, 3).answerable


def test_without_a_threshold_a_negative_cosine_is_answerable(index, embedder):
    found = asking(index, embedder, moved=-3.0)[0].find("wool", 3)
    assert found.similarity < 0
    assert found.answerable
    assert not asking(index, embedder, moved=-3.0, min_score=0.01)[0].find("wool", 3).answerable


def test_the_threshold_itself_is_enough(index, embedder):
    similarity = asking(index, embedder)[0].find("wool", 3).similarity
    for least, answerable in (
        (similarity, True),
        (math.nextafter(similarity, 0), True),
        (math.nextafter(similarity, 1), False),
    ):
        assert asking(index, embedder, min_score=least)[0].find("wool", 3).answerable is answerable


def test_keywords_alone_have_no_cosine_and_are_answerable(index, embedder):
    found = asking(index, embedder, arms="sparse")[0].find("wool", 3)
    assert found.similarity is None
    assert found.answerable


@pytest.mark.parametrize(
    ("candidates", "k", "asked"), [(4, 2, 6), (50, 2, 50), (6, 2, 6), (1, 1, 3)]
)
def test_each_arm_brings_the_larger_of_candidates_and_three_times_k(
    index, embedder, candidates, k, asked
):
    retriever, spy = asking(index, embedder, candidates=candidates)
    retriever.search("wool", k)
    assert spy.counts == [asked, asked]


def wordings(monkeypatch, *others: str) -> None:
    monkeypatch.setattr(twin.rag.retrieve, "expand", lambda *_: list(others))


def test_bm25_is_asked_for_every_wording_but_not_for_a_likely_answer(index, embedder, monkeypatch):
    wordings(monkeypatch, "fleece")
    for expansion, texts in (("multi_query", ["wool", "fleece"]), ("hyde", ["wool"])):
        retriever, spy = asking(index, embedder, expansion=expansion)
        retriever.search("wool", 2)
        assert spy.texts == texts


def test_similarity_is_that_of_the_question_not_of_another_wording(index, embedder, monkeypatch):
    alone = asking(index, embedder)[0].find("wool", 2).similarity
    wordings(monkeypatch, "The boat number 2 carries wool to the harbour.")
    widened = asking(index, embedder, expansion="multi_query")[0].find("wool", 2)
    assert widened.similarity == pytest.approx(alone)


@pytest.fixture
def weighed(monkeypatch) -> list[tuple]:
    """What is handed to the weighted fusion."""
    calls = []
    original = twin.rag.retrieve.by_weighted_scores

    def noting(lists, weights, lowest):
        calls.append((lists, weights, lowest))
        return original(lists, weights, lowest)

    monkeypatch.setattr(twin.rag.retrieve, "by_weighted_scores", noting)
    return calls


def test_an_arms_weight_is_shared_by_its_wordings(index, embedder, monkeypatch, weighed):
    wordings(monkeypatch, "fleece", "yarn")
    fields = {"dense_weight": 0.6, "dense_weight_matched": 0.6, "expansion": "multi_query"}
    asking(index, embedder, **fields)[0].search("wool", 2)
    [(_, weights, _)] = weighed
    assert weights == pytest.approx([0.2] * 3 + [0.4 / 3] * 3)


def test_a_list_of_keywords_that_nothing_cut_has_its_lowest_at_nought(index, embedder, weighed):
    # Every text says "boat": with five candidates wanted the list is full, with six it is not.
    for candidates, lowest in ((3, None), (5, None), (6, 0.0)):
        asking(index, embedder, candidates=candidates)[0].search("boat", 1)
        assert weighed[-1][2] == [None, lowest]


def test_the_dense_arms_share_falls_with_the_square_of_what_is_held(index, embedder):
    retriever, _ = asking(index, embedder, dense_weight=0.9, dense_weight_matched=0.1)
    assert retriever._dense_share(0.0) == pytest.approx(0.9)
    assert retriever._dense_share(0.5) == pytest.approx(0.7)
    assert retriever._dense_share(1.0) == pytest.approx(0.1)


def test_where_a_filter_leaves_nothing_the_whole_question_is_asked(index, embedder):
    retriever, spy = asking(index, embedder)
    found = retriever.find("posts from 1999 about wool", 2)
    assert "without this filter" in found.notes[0]
    assert spy.texts[-1] == "posts from 1999 about wool" != spy.texts[0]


@pytest.mark.parametrize(("k", "candidates", "count"), [(2, 4, 4), (5, 3, 5), (3, 3, 3)])
def test_as_many_are_reranked_as_are_wanted_at_least(
    index, embedder, monkeypatch, k, candidates, count
):
    counts = []
    monkeypatch.setattr(
        twin.rag.retrieve, "reranked", lambda question, hits, model, n: counts.append(n) or hits
    )
    knobs = RetrievalSection(rerank_candidates=candidates)
    Retriever(index.read(), embedder, knobs, reranker=object()).search("wool", k)
    assert counts == [count]


def test_styled_letters_are_asked_as_plain_ones(index, embedder):
    retriever, spy = asking(index, embedder)
    retriever.search("𝐰𝐨𝐨𝐥 Ｂｏａｔ", 2)
    assert spy.texts == ["wool Boat"]


def test_an_authors_other_names_are_known(embedder, tmp_path):
    settings = Settings(home=tmp_path / "home", recipes=tmp_path / "recipes")
    recipe = twins.write_recipe(settings.recipes)
    author = recipe.author.model_copy(update={"name": "Ada Lovelace", "aliases": ("Countess",)})
    recipe = recipe.model_copy(update={"author": author})
    index = filled(EmbeddedIndex(tmp_path / "toy", "toy"), embedder)
    for name in ("Ada Lovelace", "Countess"):
        spy = Spy(index.read())
        make_retriever(recipe, spy, embedder).search(f"articles by {name} about pods", 2)
        assert spy.filters[0].equal["author_id"] == (recipe.author.id,), name


def test_a_search_varies_from_the_recipe_without_changing_it(index, embedder, monkeypatch):
    kept = []
    monkeypatch.setattr(twin.rag.retrieve, "expand", lambda text, way, *_: kept.append(way) or [])
    retriever = Retriever(
        index.read(), embedder, RetrievalSection(rerank="maxsim"), reranker=Backwards()
    )
    ranked = [hit.title for hit in retriever.search("wool", 5)]
    fused = [hit.title for hit in retriever.varied(rerank=False, expansion=None).search("wool", 5)]
    assert fused != ranked
    assert fused[0] == "Boat 2"
    same = retriever.varied(rerank=True, expansion=None).search("wool", 5)
    assert [hit.title for hit in same] == ranked
    retriever.varied(rerank=None, expansion="hyde").search("wool", 5)
    retriever.search("wool", 5)
    assert kept == ["off", "off", "off", "hyde", "off"]


class Backwards:
    """A reranker to which the last is the best."""

    weight = 1.0

    def score(self, question, chunks):
        return list(range(len(chunks)))


def test_a_question_in_parts_is_answered_from_the_best_of_each_part_in_turn(index, embedder):
    parts = [f"What is said about {title}?" for title in list(TEXTS)[:2]]
    alone = [asking(index, embedder)[0].find(part, 1) for part in parts]
    by_part = asking(index, embedder, parts=2)[0].find(" ".join(parts), 2)
    best = [found.passages[0].chunk_id for found in alone]
    assert best[0] != best[1]
    assert [passage.chunk_id for passage in by_part.passages] == best
    assert [passage.rank for passage in by_part.passages] == [1, 2]
    assert by_part.similarity == max(found.similarity for found in alone)
    assert by_part.notes[0] == f"searched part by part: {' | '.join(parts)}"
    assert asking(index, embedder)[0].find(" ".join(parts), 2).notes == ()
