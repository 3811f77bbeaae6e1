"""Gates that a model decides, with the real embedder and the real linear model."""

import pytest

from tests.twin.datasets.sets import sample
from twin.datasets.gates import Reason
from twin.datasets.model_gates import cosines, relevance_gate, toxicity_gate
from twin.models.embedder import load_embedder
from twin.settings import Settings

ANSWER = "The keeper climbs the lighthouse each night and lights the oil lamp by hand."


@pytest.fixture(scope="module")
def embedder():
    return load_embedder("all-minilm-l6-v2", Settings())


def test_an_answer_has_to_be_about_what_is_asked(embedder):
    samples = [
        sample("right", instruction="How is the lighthouse lit?", answer=ANSWER),
        sample("wrong", instruction="Which spices go into a curry?", answer=ANSWER),
        sample("other", instruction="How is the lighthouse lit?", answer="Fry onions and cumin."),
    ]
    right, wrong, other = cosines(embedder, samples)
    assert right > 0.4
    assert max(wrong, other) < 0.2
    found = relevance_gate(embedder, 0.3)(samples)
    assert [each.sample.id for each in found] == ["wrong", "other"]
    assert {each.reason for each in found} == {Reason.IRRELEVANT}
    assert found[0].detail == f"cosine {wrong:.2f}"
    assert relevance_gate(embedder, right)(samples[:1]) == [], "at the limit it passes"
    assert len(relevance_gate(embedder, right + 1e-4)(samples[:1])) == 1
    assert relevance_gate(embedder, 0.3)([]) == []


def test_one_offensive_sentence_is_too_many():
    nasty = f"{ANSWER} You are a fucking idiot. {ANSWER}"
    samples = [
        sample("clean", answer=ANSWER),
        sample("answer", answer=nasty),
        sample("asked", instruction="What the fuck is this shit?"),
    ]
    found = toxicity_gate(0.9)(samples)
    assert [each.sample.id for each in found] == ["answer", "asked"]
    assert {each.reason for each in found} == {Reason.TOXIC}
    assert "You are a fucking idiot." in found[0].detail
    assert toxicity_gate(0.9)([]) == []
