"""`twin datasets make`: what it writes, when it does nothing, and what it refuses."""

import json
import os
import uuid
from collections import Counter
from datetime import UTC, datetime

import pytest
from mlflow import MlflowClient

from tests import tiny_model
from tests.forked_twin import run_twin
from tests.twin import corpora
from twin.datasets.make import make_samples, sample_set_version
from twin.domain.errors import BadDataError, NothingToDo, TryAgainError
from twin.domain.result import JobResult
from twin.domain.sample import Maker, Split
from twin.domain.verdict import Decision, Opinion, Verdict, digest_of
from twin.job import Job
from twin.stores.embedded.reader import EmbeddedReader
from twin.stores.files import open_files
from twin.stores.registry import Registry
from twin.stores.sample_sets import SampleSets
from twin.stores.verdicts import Verdicts


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def ann(settings, tiny, tmp_path):
    """Settings, recipe and a published index of an author's corpus."""
    settings = settings.model_copy(update={"recipes": tmp_path / "recipes"})
    recipe = corpora.write_recipe(settings.recipes, tiny)
    corpora.publish(corpora.corpus(), recipe, settings)
    return settings, recipe


def make(settings, recipe, shards=1) -> JobResult:
    job = Job(recipe, settings, "r1", JobResult(job="datasets make", recipe="ann", run_id="r1"))
    make_samples(job, shards)
    return job.result


def test_samples_are_published_with_card_and_manifest(ann):
    settings, recipe = ann
    before = datetime.now(UTC)
    result = make(settings, recipe)
    files = open_files(settings)
    sets = SampleSets(files, "ann")
    manifest = sets.latest()
    assert before < manifest.dealt < datetime.now(UTC)
    assert manifest.version == result.ids["dataset_version"]
    assert result.uris["dataset"] == files.uri(f"datasets/ann/{manifest.version}")
    assert result.counts.read == 32
    for split in Split:
        instruct = sets.instruct(manifest.version, split)
        assert len(instruct) == manifest.counts["instruct"][split.value] > 0
        assert {sample.split for sample in instruct} == {split}
    assert result.counts.written == sum(manifest.counts["instruct"].values())
    assert files.names(f"datasets/ann/{manifest.version}") == [
        ".published.json",
        "README.md",
        "card.html",
        "instruct",
        "manifest.json",
    ]
    card = files.read_text(f"datasets/ann/{manifest.version}/README.md")
    assert "# Samples of Ann" in card
    assert "| train |" in card
    page = files.read_text(f"datasets/ann/{manifest.version}/card.html")
    assert result.uris["card"] == files.uri(f"datasets/ann/{manifest.version}/card.html")
    assert f"<code>{manifest.version}</code>" in page


def test_the_card_lets_the_datasets_library_load_it(ann, tmp_path):
    from datasets import load_dataset

    settings, recipe = ann
    make(settings, recipe)
    files = open_files(settings)
    version = SampleSets(files, "ann").latest().version
    folder = files.fetch_folder(f"datasets/ann/{version}", tmp_path)
    cache = str(tmp_path / "cache")
    instruct = load_dataset(str(folder), "instruct", cache_dir=cache)
    assert set(instruct) == {"train", "validation", "test"}


def test_the_same_inputs_are_nothing_to_do_and_other_inputs_another_version(ann):
    settings, recipe = ann
    first = make(settings, recipe).ids["dataset_version"]
    with pytest.raises(NothingToDo, match=first):
        make(settings, recipe)
    corpora.publish([*corpora.corpus(), *corpora.document("new")], recipe, settings)
    second = make(settings, recipe).ids["dataset_version"]
    assert second != first
    # Back to the earlier index: its samples are there, and become the newest again.
    corpora.publish(corpora.corpus(), recipe, settings)
    with pytest.raises(NothingToDo):
        make(settings, recipe)
    assert SampleSets(open_files(settings), "ann").latest().version == first


def test_what_people_say_makes_another_version_without_what_they_reject(ann):
    settings, recipe = ann
    files = open_files(settings)
    first = SampleSets(files, "ann").manifest(make(settings, recipe).ids["dataset_version"])
    rejected, edited, kept = SampleSets(files, "ann").instruct(first.version, Split.TRAIN)[:3]
    Verdicts(files, "ann").update(
        (),
        [
            said(rejected, Decision.REJECT, reason="wrong answer", note="It is six."),
            said(edited, Decision.EDIT, answer="Write to ann@a.example, they say."),
            said(kept, Decision.KEEP),
        ],
    )
    result = make(settings, recipe)
    manifest = SampleSets(files, "ann").latest()
    assert manifest.version == result.ids["dataset_version"] != first.version
    assert manifest.verdicts == {"kept as they are": 1, "answer edited": 1, "left out": 1}
    assert manifest.refused == {"wrong answer": 1}
    assert result.failures[rejected.instruction] == "left out by people: wrong answer (It is six.)"
    samples = {s.id: s for s in SampleSets(files, "ann").instruct(manifest.version, Split.TRAIN)}
    assert rejected.id not in samples
    assert samples[edited.id].answer == "Write to [EMAIL_ADDRESS], they say."
    assert samples[edited.id].maker is Maker.EDITED
    card, page = (
        files.read_text(f"datasets/ann/{manifest.version}/{name}")
        for name in ("README.md", "card.html")
    )
    assert "1 answers were edited by people." in card
    assert "Samples that people have left out:\n\n- wrong answer: 1" in card
    assert "<td>wrong answer</td>" in page
    with pytest.raises(NothingToDo):
        make(settings, recipe)


def said(sample, decision, **fields):
    opinion = Opinion(person="1", decision=decision, **fields)
    return Verdict(
        sample=sample.id,
        seen=digest_of(sample),
        document_id=sample.document_id,
        opinions=(opinion,),
    )


def test_an_index_published_while_it_is_read_is_read_again(ann, monkeypatch):
    """The version is a hash of the index, so samples of another index may not bear its name."""
    settings, recipe = ann
    read = EmbeddedReader.chunks

    def read_late(reader, document_ids=None):
        corpora.publish([*corpora.corpus(), *corpora.document("new")], recipe, settings)
        return read(reader, document_ids)

    monkeypatch.setattr(EmbeddedReader, "chunks", read_late)
    with pytest.raises(TryAgainError, match="index changed while its chunks were read"):
        make(settings, recipe)
    sets = SampleSets(open_files(settings), "ann")
    assert sets.find_latest() is None
    monkeypatch.undo()
    made = make(settings, recipe)
    manifest = sets.latest()
    assert "new" in manifest.documents
    assert made.ids["dataset_version"] == manifest.version
    assert sample_set_version(recipe, manifest.index_fingerprint) == manifest.version


def test_a_document_comes_back_to_its_split_whichever_version_was_the_last(ann):
    """An index that goes back makes an older version the newest, which does not know it."""
    settings, recipe = ann
    sets = SampleSets(open_files(settings), "ann")
    make(settings, recipe)
    first = sets.latest()
    corpora.publish(corpora.corpus(16), recipe, settings)
    make(settings, recipe)
    second = sets.latest()
    corpora.publish(corpora.corpus(), recipe, settings)
    with pytest.raises(NothingToDo):
        make(settings, recipe)
    assert sets.latest() == first
    corpora.publish(corpora.corpus(17), recipe, settings)
    make(settings, recipe)
    assert second.documents.items() <= sets.latest().documents.items()


def test_another_seed_deals_anew_all_but_what_promoted_models_learnt(ann, mlflow_url):
    settings, recipe = ann
    name = f"ann-{uuid.uuid4().hex[:8]}"  # the registry is shared by all tests
    recipe = recipe.model_copy(update={"name": name})
    sets = SampleSets(open_files(settings), name)
    corpora.publish(unlike(16), recipe, settings)
    make(settings, recipe)
    first = sets.latest()
    reseeded = with_seed(recipe, 5)
    with pytest.raises(TryAgainError, match=r"MLflow|mlflow"):
        make(settings, reseeded)
    settings = settings.model_copy(update={"mlflow_tracking_uri": mlflow_url})
    make(settings, reseeded)
    second = sets.latest()
    moved = [d for d, split in first.documents.items() if second.documents[d] is not split]
    assert [d for d in moved if first.documents[d] is Split.TRAIN]
    assert second.documents.keys() == first.documents.keys()
    register(settings, recipe, first.version)
    make(settings, with_seed(recipe, 6))
    third = sets.latest()
    learnt = {d: split for d, split in first.documents.items() if split is not Split.TEST}
    assert learnt.items() <= third.documents.items()
    # The documents that it learnt from are known even while they are away.
    corpora.publish(unlike(10), recipe, settings)
    make(settings, with_seed(recipe, 7))
    corpora.publish(unlike(17), recipe, settings)
    make(settings, with_seed(recipe, 7))
    assert learnt.items() <= sets.latest().documents.items()


def unlike(documents):
    """Chunks of documents that share no word, so that each is split by itself."""
    return [
        chunk.model_copy(
            update={"text": " ".join(f"d{n}p{chunk.ordinal}w{word}" for word in range(60)) + "."}
        )
        for n in range(documents)
        for chunk in corpora.document(f"d{n}", 2)
    ]


def with_seed(recipe, seed):
    knobs = recipe.datasets.model_copy(update={"split_seed": seed})
    return recipe.model_copy(update={"datasets": knobs})


def register(settings, recipe, dataset_version):
    client = MlflowClient(tracking_uri=settings.mlflow_tracking_uri)
    run = client.create_run(client.create_experiment(uuid.uuid4().hex)).info.run_id
    with Registry(settings) as registry:
        version = registry.register(
            recipe.model_name, weights_uri="file:///w", weights_digest="w", run_id=run,
            tags={"dataset_version": dataset_version},
        )  # fmt: skip
        registry.promote(recipe.model_name, version.version)


def test_splits_of_few_documents_are_pointed_out(ann):
    settings, recipe = ann
    result = make(settings, recipe)
    files = open_files(settings)
    manifest = SampleSets(files, "ann").latest()
    held = Counter(manifest.documents.values())
    few = {split.value: held[split] for split in Split if held[split] < 3}
    assert few, "eight documents leave no split with fewer than three"
    card = files.read_text(f"datasets/ann/{manifest.version}/README.md")
    for name, count in few.items():
        assert f"the {name} split has only {count}" in card
        assert f"the {name} split has only {count}" in result.detail["warning"]
    corpora.publish(corpora.corpus(60), recipe, settings)
    result = make(settings, recipe)
    manifest = SampleSets(files, "ann").latest()
    assert min(Counter(manifest.documents.values()).values()) >= 3
    assert "has only" not in files.read_text(f"datasets/ann/{manifest.version}/README.md")
    assert "warning" not in result.detail


def test_there_must_be_an_index_and_enough_articles(settings, tiny, tmp_path):
    settings = settings.model_copy(update={"recipes": tmp_path / "recipes"})
    recipe = corpora.write_recipe(settings.recipes, tiny)
    with pytest.raises(BadDataError, match="twin features build"):
        make(settings, recipe)
    corpora.publish(corpora.document("only"), recipe, settings)
    with pytest.raises(BadDataError, match="no test samples from 1 usable documents"):
        make(settings, recipe)


CODE = "```python\n" + "run(every, night)\n" * 40 + "```"


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ([], "no train samples from 0 usable documents (chunks left out: no chunks)"),
        (
            [CODE] * 8,
            "no train samples from 0 usable documents (chunks left out: code, list or table: 8)",
        ),
        (
            [f"Day {n}: I sailed." for n in range(8)],
            "no train samples from 0 usable documents "
            "(chunks left out: shorter than min_answer_words: 8)",
        ),
    ],
    ids=["no documents", "only code", "one sentence a post"],
)
def test_what_nothing_can_be_made_of_is_counted_and_nothing_is_published(ann, texts, told):
    settings, recipe = ann
    chunks = [
        corpora.document(f"p{n}", 1)[0].model_copy(update={"text": text})
        for n, text in enumerate(texts)
    ]
    corpora.publish(chunks, recipe, settings)
    for shards in (1, 3):
        with pytest.raises(BadDataError) as caught:
            make(settings, recipe, shards)
        assert str(caught.value) == f"{told}: crawl at least three articles, or loosen datasets.*"
    assert SampleSets(open_files(settings), "ann").versions() == []


def test_samples_are_for_any_base_model(ann):
    """None is loaded, and none is part of the version."""
    settings, recipe = ann
    unknown = recipe.model_copy(
        update={"training": recipe.training.model_copy(update={"base_model": "gemma9"})}
    )
    made = make(settings, unknown).ids["dataset_version"]
    with pytest.raises(NothingToDo, match=made):
        make(settings, recipe)


@pytest.mark.slow
def test_the_command_makes_samples_once(ann, tmp_path):
    """Two processes. Buys: exit codes, and the result as Airflow reads it."""
    settings, _ = ann
    environment = {**os.environ, **corpora.environment(settings)}
    command = ["datasets", "make", "--recipe", "ann", "--result", str(tmp_path / "r.json")]
    done = run_twin(*command, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "r.json").read_text())["status"] == "done"
    again = run_twin(*command, env=environment)
    assert again.returncode == 99
    assert json.loads((tmp_path / "r.json").read_text())["status"] == "skipped"
