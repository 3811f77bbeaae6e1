"""Walks through real stores: warehouse, index, sample sets and registry."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from tests.twin.answers import answer, passage
from tests.twin.stores.chunks import DIMENSION, SPEC
from tests.twin.stores.chunks import document as chunked
from tests.twin.stores.documents import document
from twin.cli import app
from twin.domain.errors import BadDataError
from twin.domain.feedback import KeptAnswer
from twin.domain.sample import InstructSample, Split
from twin.settings import get_settings
from twin.stores.answer_records import AnswerRecords
from twin.stores.files import open_files
from twin.stores.index import open_index_of
from twin.stores.lineage_walk import SHOWN, lineage_of
from twin.stores.registry import Registry
from twin.stores.sample_sets import SampleSetManifest, SampleSets
from twin.stores.warehouse import open_warehouse

NOW = datetime.now(UTC)

CONFIGURED = {"model_version": "1-0123abcd", "configuration": "0123abcd"}


@pytest.fixture
def live(stores_settings, mlflow_url):
    return stores_settings.model_copy(update={"mlflow_tracking_uri": mlflow_url})


@pytest.fixture
def twin(live):
    """A document of two chunks, samples of the first, a model of the samples, twelve answers."""
    name = f"r{uuid.uuid4().hex[:8]}"
    source = document("pods")
    made = chunked(source.id, ["Every job runs in a pod.", "It ends with the job."])
    with open_index_of(live, name).write(SPEC, DIMENSION) as writer:
        writer.upsert([made])
        writer.publish()
    first = made.chunks[0]
    manifest = SampleSetManifest(
        version="v1", recipe=name, author_id="ann", author_name="Ann", index_fingerprint="f",
        recipe_digest="d", prompt_version="2", counts={},
        documents={source.id: Split.TRAIN, "held": Split.TEST},
    )  # fmt: skip
    sample = InstructSample(
        id="s", split=Split.TRAIN, instruction="Write.", answer="Words.", document_id=source.id,
        revision=first.revision, chunk_id=first.id, title="t", url="u",
    )  # fmt: skip
    SampleSets(open_files(live), name).publish(manifest, [sample], "card")
    client = MlflowClient(tracking_uri=live.mlflow_tracking_uri)
    run = client.create_run(client.create_experiment(name)).info.run_id
    with Registry(live) as registry:
        registry.register(
            f"twin-{name}", weights_uri="file:///w", weights_digest=name, run_id=run,
            tags={"dataset_version": "v1", "base_model": "gemma", "code_version": "abc"},
        )  # fmt: skip
    shown = passage(source.id, chunk_id=first.id, revision=first.revision)
    with open_warehouse(live) as warehouse:
        warehouse.upsert(source)
        for number in range(12):
            given = answer(f"a{number}", text="SECRET WORDS", sources=(shown,))
            # The last is of another configuration, the first of another version.
            more = {0: {"model_version": "10"}, 11: CONFIGURED}.get(number, {})
            given = given.model_copy(update={"model": f"twin-{name}", **more})
            created = NOW + timedelta(seconds=number)
            kept = KeptAnswer(answer=given, created=created, expires=NOW + timedelta(days=1))
            AnswerRecords(warehouse).add([("caller", kept)])
    return {"name": name, "document": source, "chunks": made.chunks}


def test_an_answer_leads_to_its_text_its_model_and_what_that_learnt_from(live, twin):
    text = lineage_of(live, "a3").text()
    lines = text.splitlines()
    assert lines[0].startswith("answer a3")
    for expected in (
        f"  chunk {twin['chunks'][0].id} (shown)",
        f"    document {twin['document'].id}  title: Pods",
        f"  model version twin-{twin['name']}:1  code: abc",
        "    base model gemma (trained from)",
        f"    sample set {twin['name']}/v1 (trained on)",
    ):
        assert any(line.startswith(expected) for line in lines), expected
    assert "SECRET" not in text and "caller" not in text and "held" not in text


def test_a_chunk_leads_to_samples_models_and_answers(live, twin):
    first, second = (lineage_of(live, chunk.id) for chunk in twin["chunks"])
    text = first.text()
    assert f"sample set {twin['name']}/v1 (1 samples)" in text
    assert f"model version twin-{twin['name']}:1" in text
    assert "answer a11" in text and "answer a1 " not in text
    assert first.left_out["answers"] == 12 - SHOWN
    assert "sample set" not in second.text() and "answer" not in second.text()


def test_a_document_and_a_model_lead_both_ways(live, twin):
    of_document = lineage_of(live, twin["document"].id).text()
    assert of_document.count("\n  chunk ") == 2
    assert f"model version twin-{twin['name']}:1" in of_document
    assert "answer a11" in of_document
    for name in ("", ":1", ":1-0123abcd", "@candidate"):
        graph = lineage_of(live, f"twin-{twin['name']}{name}")
        found = graph.text()
        assert f"document {twin['document'].id}" in found
        assert "answer a11" in found
        assert graph.left_out["answers"] == 11 - SHOWN


def test_an_answer_in_another_configuration_is_of_the_same_version(live, twin):
    text = lineage_of(live, "a11").text()
    assert "configuration: 0123abcd" in text
    assert f"model version twin-{twin['name']}:1  code: abc" in text


@pytest.mark.parametrize("thing", ["nothing", "twin-nobody", "twin-nobody:3", "twin-x@champion"])
def test_what_is_not_there_is_said(live, thing):
    with pytest.raises(BadDataError):
        lineage_of(live, thing)


def test_the_command_prints_it_and_writes_a_picture(live, twin, monkeypatch, tmp_path):
    monkeypatch.setenv("TWIN_HOME", str(live.home))
    monkeypatch.setenv("TWIN_MONGO_URI", live.mongo_uri.get_secret_value())
    monkeypatch.setenv("TWIN_MONGO_DATABASE", live.mongo_database)
    monkeypatch.setenv("TWIN_MLFLOW_TRACKING_URI", live.mlflow_tracking_uri)
    get_settings.cache_clear()
    picture = tmp_path / "picture.mmd"
    done = CliRunner().invoke(app, ["lineage", "a3", "--mermaid", str(picture)])
    get_settings.cache_clear()
    assert done.exit_code == 0, done.output
    assert "led to" not in done.output and "comes from:" in done.output
    assert picture.read_text().startswith("flowchart LR")
