import pytest

from tests import tiny_model
from tests.twin.stores.chunks import document
from twin.domain.errors import BadDataError
from twin.models.embedder import load_embedder
from twin.models.language_model import load_language_model
from twin.rag.rerank import MaxSim, QuestionLikelihood, load_reranker, reranked
from twin.settings import Settings
from twin.stores.index import Hit

CHUNKS = document(
    "d", ["Bread is baked in an oven.", "A pod is a box of its own.", "Sails catch the wind."]
).chunks
HITS = [Hit(chunk, 1.0 - place / 10) for place, chunk in enumerate(CHUNKS)]


@pytest.fixture(scope="module")
def embedder():
    return load_embedder("all-minilm-l6-v2", Settings())


@pytest.fixture(scope="module")
def cross_encoder(embedder, tmp_path_factory):
    """A cross-encoder of random weights: its order means nothing, but is always the same."""
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, set_seed

    folder = tmp_path_factory.mktemp("cross-encoder")
    tokenizer = AutoTokenizer.from_pretrained(str(embedder.folder))
    set_seed(5)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=1,
        initializer_range=0.5,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_off_is_none(embedder):
    assert load_reranker("off", embedder, None) is None


def test_without_a_language_model_its_reranking_is_none(embedder):
    assert load_reranker("language-model", embedder, None) is None


def test_maxsim_finds_the_like_passage(embedder):
    reranker = load_reranker("maxsim", embedder, None)
    found = reranked("In which box does a pod run?", HITS, reranker, 3)
    assert found[0].chunk == CHUNKS[1]
    [same] = reranker.score(CHUNKS[2].embedded_text, [CHUNKS[2]])
    assert same == pytest.approx(1, abs=0.01)


class Counting:
    """The embedder, with a count of the passages that it was asked for."""

    def __init__(self, embedder):
        self.embedder = embedder
        self.passages = 0

    def token_vectors(self, texts):
        self.passages += sum(" > " in text or "\n" in text for text in texts)
        return self.embedder.token_vectors(texts)


def test_maxsim_encodes_a_passage_once(embedder):
    counting = Counting(embedder)
    reranker = MaxSim(counting)
    first = reranker.score("In which box does a pod run?", CHUNKS)
    assert reranker.score("In which box does a pod run?", CHUNKS[::-1]) == first[::-1]
    assert counting.passages == len(CHUNKS)
    exact = [
        float((asked @ own.T).max(axis=1).mean())
        for [asked] in [embedder.token_vectors(["In which box does a pod run?"])]
        for own in embedder.token_vectors([chunk.embedded_text for chunk in CHUNKS])
    ]
    assert first == pytest.approx(exact, abs=0.01)


def test_maxsim_keeps_no_more_than_it_may(embedder):
    counting = Counting(embedder)
    [size] = {v.shape[0] * v.shape[1] for v in embedder.token_vectors([CHUNKS[0].embedded_text])}
    reranker = MaxSim(counting, kept_bytes=size)
    reranker.score("bread", CHUNKS[:1])
    reranker.score("bread", CHUNKS[:1])
    assert counting.passages == 1
    reranker.score("bread", CHUNKS)
    reranker.score("bread", CHUNKS[:1])
    assert counting.passages == 1 + 2 + 1
    assert reranker._bytes <= size


def test_a_cross_encoder_is_run_on_pairs(embedder, cross_encoder):
    from sentence_transformers import CrossEncoder

    reranker = load_reranker(str(cross_encoder), embedder, None)
    found = reranker.score("Why?", CHUNKS)
    oracle = CrossEncoder(str(cross_encoder))
    expected = [float(oracle.predict([("Why?", chunk.embedded_text)])[0]) for chunk in CHUNKS]
    assert found == pytest.approx(expected, abs=1e-4)
    assert len(set(found)) == 3


def test_an_unknown_cross_encoder_is_refused(embedder):
    with pytest.raises(BadDataError, match=r"retrieval\.rerank 'no/such': neither off, maxsim"):
        load_reranker("no/such", embedder, None)


def test_only_the_first_are_looked_at(embedder):
    found = reranked("sails in the wind", HITS, load_reranker("maxsim", embedder, None), 2)
    assert sorted(hit.chunk.ordinal for hit in found) == [0, 1]


def test_a_language_model_scores_how_likely_the_question_is(tmp_path):
    model = load_language_model(tiny_model.build(tmp_path / "tiny"), Settings())
    scores = QuestionLikelihood(model).score("Why pods?", CHUNKS)
    assert len(scores) == 3
    assert all(score < 0 for score in scores)
    [alone] = QuestionLikelihood(model).score("Why pods?", CHUNKS[1:2])
    assert alone == pytest.approx(scores[1], abs=0.05)
