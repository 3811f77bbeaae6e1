"""`twin datasets make` with written questions: the real retriever, the version, and the card."""

import pytest
import yaml

from tests import tiny_model
from tests.twin import corpora
from twin.datasets.audit import audit
from twin.datasets.audit_rows import read_rows
from twin.datasets.make import make_samples, sample_set_version
from twin.datasets.personal_data import Redactor
from twin.datasets.questions import open_questions
from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.result import JobResult
from twin.domain.sample import WITHHELD, Maker, Split
from twin.job import Job
from twin.models.embedder import load_embedder
from twin.rag.prompt import format_passage
from twin.rag.retrieve import make_retriever
from twin.recipes import AuditSection
from twin.stores.files import open_files
from twin.stores.index import IndexedDocument, IndexSpec, open_index
from twin.stores.sample_sets import SampleSets

THINGS = ("anchor", "boiler", "compass", "dinghy", "engine", "funnel", "galley", "hatch")
TEXT = (
    "The {thing} stands in room {number} of the old ship, and I look at it each morning before "
    "anybody else is up. Write to keeper@example.org about the {thing}, if you must, and say which "
    "{thing} you mean, since there were two of them once and only this {thing} was kept."
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


def entries():
    return [
        {
            "kind": "fact",
            "question": f"Where does the {thing} stand?",
            "answer": f"In room {number}. Ask keeper@example.org.",
            "support": [{"document": thing, "quote": f"stands in room {number}"}],
            "facts": [str(number)],
        }
        for number, thing in enumerate(THINGS)
    ] + [{"kind": "unanswerable", "question": "Who built the ship?", "document": "hatch"}]


@pytest.fixture
def ship(settings, tiny, tmp_path):
    """Settings, recipe and file of questions over an index with the real embedder."""
    settings = settings.model_copy(update={"recipes": tmp_path / "recipes"})
    path = tmp_path / "questions.yaml"
    path.write_text(yaml.safe_dump(entries()))
    recipe = corpora.write_recipe(
        settings.recipes,
        tiny,
        datasets={"written": str(path), "withheld_share": 1.0},
        serving={"passages": 2},
    )
    publish(settings, recipe)
    return settings, recipe, path


def publish(settings, recipe, *, without=()):
    embedder = load_embedder(recipe.features.embedder, settings)
    spec = IndexSpec(embedder=embedder.id, chunker="test-1")
    documents = []
    for number, thing in enumerate(THINGS):
        if thing in without:
            continue
        [chunk] = corpora.document(thing, 1)
        text = TEXT.format(thing=thing, number=number)
        chunk = chunk.model_copy(update={"text": text, "title": thing, "headings": ()})
        vectors = embedder.encode([chunk.embedded_text])
        documents.append(IndexedDocument(thing, chunk.revision, [chunk], vectors))
    with open_index(settings, recipe).write(spec, embedder.dimension, rebuild=True) as writer:
        writer.upsert(documents)
        writer.publish()


def make(settings, recipe):
    job = Job(recipe, settings, "r1", JobResult(job="datasets make", recipe="ann", run_id="r1"))
    make_samples(job)
    return job.result


def test_passages_are_those_that_serving_finds_without_what_is_hidden(ship):
    settings, recipe, _ = ship
    reader = open_index(settings, recipe).read()
    redactor = Redactor(recipe.datasets.personal_data, recipe.author.name)
    asked = open_questions(recipe, settings, reader, redactor)
    embedder = load_embedder(recipe.features.embedder, settings)
    served = (
        make_retriever(recipe, reader, embedder).find("Where does the boiler stand?", 2).passages
    )
    shown = asked.retrieve("Where does the boiler stand?", set())
    assert [p.chunk_id for p in shown] == [p.chunk_id for p in served]
    assert shown[0].document_id == "boiler"
    assert "keeper@example.org" in served[0].text
    assert "[EMAIL_ADDRESS]" in shown[0].text
    hidden = asked.retrieve("Where does the boiler stand?", {"boiler", "anchor"})
    assert len(hidden) == 2
    assert not {p.document_id for p in hidden} & {"boiler", "anchor"}
    assert asked.questions[0].answer == "In room 0. Ask [EMAIL_ADDRESS]."
    assert (asked.passages, asked.refusal) == (2, "I have not written about that.")


def test_passages_keep_to_the_budget_of_serving(ship):
    settings, recipe, _ = ship
    serving = recipe.serving.model_copy(update={"max_context_tokens": 90})
    recipe = recipe.model_copy(update={"serving": serving})
    reader = open_index(settings, recipe).read()
    redactor = Redactor(recipe.datasets.personal_data, recipe.author.name)
    shown = open_questions(recipe, settings, reader, redactor).retrieve(
        "Where is the hatch?", set()
    )
    count = load_embedder(recipe.features.embedder, settings).count_tokens
    assert len(shown) == 1
    assert count(format_passage(shown[0])) <= 90


def test_written_samples_are_published_with_the_others(ship):
    settings, recipe, _ = ship
    result = make(settings, recipe)
    files = open_files(settings)
    sets = SampleSets(files, "ann")
    manifest = sets.latest()
    samples = [s for split in Split for s in sets.instruct(manifest.version, split)]
    written = [s for s in samples if s.maker is Maker.WRITTEN and s.kind != WITHHELD]
    assert len(written) == 9 < len(samples)
    again = [s for s in samples if s.kind == WITHHELD]
    assert len(again) == manifest.withheld == result.detail["withheld"] > 2
    assert {s.answer for s in again} == {"I have not written about that."}
    assert manifest.written == {"fact": 8, "unanswerable": 1}
    assert manifest.set_aside == {}
    assert result.detail["written"] == manifest.written
    assert result.detail["not_retrieved"] == 0
    assert set(manifest.copy_share) == {"train", "validation", "test"}
    assert max(manifest.copy_share.values()) <= 0.25
    assert all("keeper@" not in s.answer + "".join(s.context) for s in samples)
    card = files.read_text(f"datasets/ann/{manifest.version}/README.md")
    assert "9 questions were written with their answers" in card
    assert "- unanswerable: 1" in card
    assert f"{len(again)} of them are asked once more without the passages" in card
    assert "Samples whose prompt shows their answer verbatim: " in card
    assert "(written, " in card
    with pytest.raises(NothingToDo):
        make(settings, recipe)
    report = audit(
        read_rows(files.fetch_folder(sets.folder(manifest.version), settings.home)), AuditSection()
    )
    assert report.rows.keys() == {"train", "validation", "test"}
    assert report.failed == []


def test_another_text_of_the_questions_is_another_version(ship):
    _, recipe, path = ship
    first = sample_set_version(recipe, "f")
    serving = recipe.serving.model_copy(update={"passages": 3})
    assert sample_set_version(recipe.model_copy(update={"serving": serving}), "f") != first
    retrieval = recipe.retrieval.model_copy(update={"dont_know": "No."})
    assert sample_set_version(recipe.model_copy(update={"retrieval": retrieval}), "f") != first
    replicas = recipe.serving.model_copy(update={"replicas": 5})
    assert sample_set_version(recipe.model_copy(update={"serving": replicas}), "f") == first
    path.write_text(path.read_text() + "\n# Read again.\n")
    assert sample_set_version(recipe, "f") != first


def test_questions_of_a_document_that_is_gone_are_set_aside_and_its_split_is_kept(ship):
    settings, recipe, _ = ship
    make(settings, recipe)
    sets = SampleSets(open_files(settings), "ann")
    before = sets.latest()
    gone = next(name for name, split in before.documents.items() if split is Split.TRAIN)
    publish(settings, recipe, without=[gone])
    result = make(settings, recipe)
    after = sets.latest()
    lost = 2 if gone == "hatch" else 1
    assert after.set_aside == {"document not in the index": lost}
    assert result.failures[f"Where does the {gone} stand?"] == (
        "written question: document not in the index"
    )
    assert after.departed == {gone: Split.TRAIN}
    assert after.assigned == before.documents
    # It comes back, under another seed and other shares, to where it was.
    knobs = recipe.datasets.model_copy(update={"seed": 99, "test_share": 0.5})
    publish(settings, recipe)
    make(settings, recipe.model_copy(update={"datasets": knobs}))
    assert sets.latest().documents == before.documents
    assert sets.latest().departed == {}


def test_a_file_that_cannot_be_used_stops_the_job_before_anything_is_loaded(ship, monkeypatch):
    settings, recipe, path = ship

    def refuse(*args, **kwargs):
        raise AssertionError("loaded")

    monkeypatch.setattr("twin.datasets.workshop.load_embedder", refuse)
    path.write_text("- kind: fact\n  question: Q?\n")
    with pytest.raises(BadDataError, match=r"questions.yaml: line 1: the answer is missing"):
        make(settings, recipe)
    path.unlink()
    with pytest.raises(BadDataError, match=r"datasets.written: .*can't be read"):
        make(settings, recipe)
