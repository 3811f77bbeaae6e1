"""Gates that a model decides, with the real embedder and the real linear model."""

import pytest

from tests import tiny_encoder
from tests.twin.datasets.sets import sample
from twin.datasets.gates import Reason
from twin.datasets.make import sample_set_version
from twin.datasets.model_gates import (
    classifier_gate,
    cosines,
    relevance_gate,
    toxicity_gate,
)
from twin.domain.errors import BadDataError
from twin.models.embedder import load_embedder
from twin.models.text_classifier import KeptAlarm
from twin.recipes import load_recipe
from twin.recipes.datasets import ClassifierGateSection
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


def moon_gate(folder, **values):
    section = {"name": "moon", "model": str(folder), "labels": ("MOON",), **values}
    done = []
    return classifier_gate(ClassifierGateSection.model_validate(section), done.append), done


def test_a_sample_that_a_classifier_meets_is_left_out_with_its_part_and_probability(tmp_path):
    folder = tiny_encoder.moon_classifier(tmp_path / "moon")
    samples = [
        sample("asked", instruction="what is the moon", answer="the pod"),
        sample("answer", instruction="what is the pod", answer="the moon"),
        sample("neither", instruction="what is the pod", answer="what is a"),
    ]
    gate, done = moon_gate(folder)
    found = gate(samples)
    assert [each.sample.id for each in found] == ["asked", "answer"]
    assert {each.reason for each in found} == {Reason.CLASSIFIED}
    assert [each.detail.rpartition(" ")[0] for each in found] == [
        "moon: instruction", "moon: answer",
    ]  # fmt: skip
    assert sum(done) == 3
    gate, _ = moon_gate(folder, reads=("answer",))
    assert [each.sample.id for each in gate(samples)] == ["answer"]
    gate, _ = moon_gate(folder, threshold=1.0)
    assert gate(samples) == []
    KeptAlarm(labels=("MOON",), threshold=0.6).save(folder)
    gate, _ = moon_gate(folder, labels=())
    assert len(gate(samples)) == 2
    with pytest.raises(BadDataError, match=r"gates\.classifiers: moon has no label 'SUN'"):
        moon_gate(folder, labels=("SUN",))


def test_a_classifier_is_an_input_of_the_samples_wherever_it_lies(tmp_path):
    folder = tiny_encoder.moon_classifier(tmp_path / "moon")
    recipe = load_recipe("handbook", Settings().recipes)
    section = ClassifierGateSection(name="moon", model=str(folder), labels=("MOON",))

    def with_gates(*classifiers):
        gates = recipe.datasets.gates.model_copy(update={"classifiers": classifiers})
        datasets = recipe.datasets.model_copy(update={"gates": gates})
        return recipe.model_copy(update={"datasets": datasets})

    plain, gated = sample_set_version(recipe, "i"), sample_set_version(with_gates(section), "i")
    assert plain != gated
    KeptAlarm(labels=("MOON",), threshold=0.7).save(folder)
    assert sample_set_version(with_gates(section), "i") != gated
    moved = section.model_copy(update={"model": f"/elsewhere/{folder.name}"})
    assert with_gates(section).digest("datasets") == with_gates(moved).digest("datasets")
    assert with_gates(section).digest("datasets") != recipe.digest("datasets")
