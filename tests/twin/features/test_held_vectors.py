"""Vectors of what is published, by the text that they are of."""

import pytest

from tests.twin.stores.chunks import DIMENSION, SPEC, document
from twin.features.held_vectors import held_vectors
from twin.stores.embedded_index import EmbeddedIndex

PODS = document("pods", ["Every task is a pod of its own.", "A pod ends with an exit code."])
GATE = document("gate", ["The gate compares perplexity with the champion."])
EMPTY = document("empty", [])


@pytest.fixture
def index(tmp_path):
    index = EmbeddedIndex(tmp_path / "toy", "toy")
    with index.write(SPEC, DIMENSION) as writer:
        writer.upsert([PODS, GATE, EMPTY])
        writer.publish()
    return index


def test_each_text_has_its_own_vector(index):
    with held_vectors(index, index.state(), SPEC.embedder) as held:
        found = held(["pods", "empty", "unknown"])
    assert set(found) == {chunk.embedded_text for chunk in PODS.chunks}
    for chunk, vector in zip(PODS.chunks, PODS.vectors, strict=True):
        assert found[chunk.embedded_text] == pytest.approx(vector, abs=1e-6)


def test_vectors_of_another_embedder_are_of_no_use(index):
    with held_vectors(index, index.state(), "other@1") as held:
        assert held(["pods"]) == {}


def test_where_nothing_is_published_nothing_is_held(tmp_path):
    with held_vectors(EmbeddedIndex(tmp_path, "toy"), None, SPEC.embedder) as held:
        assert held(["pods"]) == {}


def test_a_damaged_release_holds_nothing(index):
    state = index.state()
    for file in index.release(index.current()).rglob("*"):
        if file.is_file() and file.name != "state.json":
            file.unlink()
    with held_vectors(index, state, SPEC.embedder) as held:
        assert held(["pods"]) == {}


def test_what_the_store_lost_is_embedded_again(index):
    state = index.state()
    with index.write(SPEC, DIMENSION) as writer:
        writer.delete(["pods"])
        writer.publish()
    with held_vectors(index, state, SPEC.embedder) as held:
        assert held(["pods"]) == {}
        assert len(held(["pods", "gate"])) == 1
