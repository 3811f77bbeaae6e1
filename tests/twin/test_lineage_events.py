"""Jobs tell OpenLineage what they read and write, to a server that takes its events."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import typer
from pydantic import SecretStr

from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.result import JobResult
from twin.job import Job, Stopped, run_job
from twin.lineage_events import _FILES, JOBS, DataSet, data_sets
from twin.recipes import load_recipe
from twin.settings import get_settings

PARENT = "llm-twin/training/5b0a21ae-5d3a-5b8f-9c3b-0c5a8d3f1f10"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, root: Path, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("TWIN_RECIPES", str(root / "include" / "recipes"))
    monkeypatch.setenv("TWIN_FILES_URI", "s3://bucket/deep")
    monkeypatch.setenv("TWIN_MONGO_URI", "mongodb://ada:secret@one:1,two:2/?tls=true")
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", PARENT)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture
def marquez(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Where Marquez takes events; those that came."""
    events: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/api/v1/lineage"
            events.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{server.server_port}")
    yield events
    server.shutdown()
    server.server_close()


def run(name: str, body: Any) -> int:
    with pytest.raises((typer.Exit, SystemExit)) as caught:
        run_job(name, body, recipe="handbook", run_id="r1")
    return getattr(caught.value, "exit_code", None) or 0


def raising(error: BaseException) -> Any:
    def body(_job: Job) -> None:
        raise error

    return body


def test_start_and_end_name_the_data_sets_and_the_airflow_run(marquez) -> None:
    def body(job: Job) -> None:
        assert [each["eventType"] for each in marquez] == ["START"]
        job.result.ids |= {"dataset_version": "d1", "pairs_version": "p2"}

    assert run("training dpo", body) == 0
    start, end = marquez
    assert end["eventType"] == "COMPLETE"
    assert start["run"]["runId"] == end["run"]["runId"]
    UUID(start["run"]["runId"])
    assert (end["job"]["namespace"], end["job"]["name"]) == ("llm-twin", "handbook.training.dpo")
    parent = end["run"]["facets"]["parent"]
    assert parent["run"]["runId"] == PARENT.rpartition("/")[2]
    assert (parent["job"]["namespace"], parent["job"]["name"]) == ("llm-twin", "training")
    read = {
        each["name"]: each["facets"].get("version", {}).get("datasetVersion")
        for each in end["inputs"]
    }
    assert read == {
        "deep/datasets/handbook": "d1", "deep/pairs/handbook": "p2",
        "deep/training/handbook": None,
    }  # fmt: skip
    assert [(each["namespace"], each["name"]) for each in end["outputs"]] == [
        ("s3://bucket", "deep/training/handbook")
    ]
    assert start["eventTime"] <= end["eventTime"]


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (BadDataError("no samples"), "FAIL", "no samples"),
        (NothingToDo("done before"), "COMPLETE", None),
        (ValueError("a defect"), "FAIL", "ValueError: a defect"),
        (Stopped(), "ABORT", "told to end (SIGTERM)"),
    ],
)
def test_the_end_says_how_it_was(marquez, error, state, message) -> None:
    if isinstance(error, ValueError):
        with pytest.raises(ValueError, match="a defect"):
            run_job("training sft", raising(error), recipe="handbook")
    else:
        run("training sft", raising(error))
    end = marquez[-1]
    assert end["eventType"] == state
    assert end["run"]["facets"].get("errorMessage", {}).get("message") == message


def test_nobody_listens_and_the_job_ends_as_it_would(monkeypatch, capfd) -> None:
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "http")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__URL", "http://127.0.0.1:1")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__RETRY", '{"total": 0}')
    assert run("crawl run", lambda job: None) == 0
    assert run("crawl run", raising(BadDataError("x"))) == 65
    assert "no lineage event is sent" in capfd.readouterr().err


def test_a_transport_that_makes_no_sense_fails_no_job(monkeypatch, capfd) -> None:
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "pigeon")
    assert run("crawl run", lambda job: None) == 0
    assert "no lineage event is sent" in capfd.readouterr().err


def test_a_file_takes_them_too(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "file")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(tmp_path / "events"))
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__APPEND", "true")
    assert run("crawl run", lambda job: None) == 0
    lines = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert [line["eventType"] for line in lines] == ["START", "COMPLETE"]


def test_only_the_first_of_several_processes_speaks(marquez, monkeypatch) -> None:
    monkeypatch.setenv("RANK", "1")
    run("training sft", lambda job: None)
    assert marquez == []


@pytest.mark.parametrize("told", ["", "a/b", "a/b/c/d", "llm-twin/training/no-uuid"])
def test_a_parent_that_is_none_is_left_out(marquez, monkeypatch, told) -> None:
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", told)
    assert run("crawl run", lambda job: None) == 0
    assert ["parent" in each["run"]["facets"] for each in marquez] == [False, False]


def test_no_name_holds_a_password_and_each_store_has_its_own(root) -> None:
    recipe = load_recipe("handbook", root / "include" / "recipes")
    settings = get_settings()
    outcome = JobResult(job="datasets make", recipe="handbook", run_id="r")
    outcome.ids["index"] = "f1"
    server = settings.model_copy(update={"index_url": "http://key:word@qdrant:6333/x?api=y"})
    reads, writes = data_sets(outcome, recipe, server)
    assert reads == [
        DataSet("mongodb://one:1,two:2", f"{settings.mongo_database}.documents"),
        DataSet("http://qdrant:6333", "index/handbook", "f1"),
    ]
    assert writes == [DataSet("s3://bucket", "deep/datasets/handbook")]
    local = settings.model_copy(update={"files_uri": "/srv/files"})
    assert data_sets(outcome, recipe, local)[1] == [DataSet("file", "/srv/files/datasets/handbook")]
    plain = settings.model_copy(update={"mongo_uri": SecretStr("mongodb://h:1")})
    assert data_sets(outcome, recipe, plain)[0][0].namespace == "mongodb://h:1"


def test_every_job_that_is_named_is_one_and_every_data_set_has_a_place(root) -> None:
    recipe = load_recipe("handbook", root / "include" / "recipes")
    from typer.main import get_command

    from twin.cli import app

    command = get_command(app)
    for job in JOBS:
        stage, _, name = job.partition(" ")
        assert name in command.commands[stage].commands, job
        reads, writes = data_sets(
            JobResult(job=job, recipe="x", run_id="r"), recipe, get_settings()
        )
        assert all(each.name and each.namespace for each in (*reads, *writes))
    used = {word for words in JOBS.values() for side in words for word in side}
    assert _FILES.keys() <= used
