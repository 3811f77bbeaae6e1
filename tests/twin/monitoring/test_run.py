"""`twin monitoring run` over a real warehouse, index and file store; its endpoint is scripted."""

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

from tests import servers
from tests.twin import twins
from tests.twin.answers import answer
from twin.domain.crawl import CrawlRecord, CrawlStatus
from twin.domain.document import Document
from twin.domain.feedback import Feedback, KeptAnswer
from twin.domain.result import JobResult
from twin.job import Job
from twin.monitoring.run import run_monitoring
from twin.monitoring.show import state_lines
from twin.recipes.monitoring import MonitoringSection
from twin.stores.answer_records import AnswerRecords
from twin.stores.monitoring_states import MonitoringStates
from twin.stores.warehouse import open_warehouse

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SECTION = MonitoringSection.model_validate(
    {
        "alert_after": 1,
        "recover_after": 1,
        "owner": "Ann",
        "canaries": {"questions": [{"question": "Where does a job run?", "facts": ["pod"]}]},
    }
)


@pytest.fixture
def endpoint():
    """An endpoint whose answer a test sets; what it was asked is kept."""
    told = {"answer": "In a pod.", "asked": []}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.reply(
                {"replicas": [{"replica": "r", "generation": 1, "weights": {"1": 5, "2": 95}}]}
            )

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told["asked"].append((body["model"], body["question"]))
            self.reply(answer(text=told["answer"]).model_dump(mode="json"))

        def reply(self, content):
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        told["url"] = f"http://127.0.0.1:{server.server_port}"
        yield told
        server.shutdown()


@pytest.fixture
def look(stores_settings, endpoint, tmp_path):
    recipe = twins.write_recipe(tmp_path / "recipes")
    recipe = recipe.model_copy(update={"monitoring": SECTION})
    settings = stores_settings.model_copy(
        update={"endpoint_url": endpoint["url"], "api_keys": (SecretStr("k"),)}
    )
    looks = iter(range(100))

    def run(changes=None, section=SECTION, run_id=None, paused=False):
        changed = recipe.model_copy(update={"monitoring": section})
        identity = run_id or f"r{next(looks)}"
        result = JobResult(job="monitoring run", recipe="tiny", run_id=identity)
        used = settings.model_copy(update=changes or {})
        run_monitoring(Job(changed, used, identity, result), paused=paused)
        return result.detail

    run.settings, run.recipe = settings, recipe
    return run


def fill(settings, *, revision="r1", names=tuple(twins.TEXTS)):
    """The documents of `twins.TEXTS` in the warehouse, by a crawl that has just ended."""
    now = datetime.now(UTC)
    with open_warehouse(settings) as warehouse:
        warehouse.prepare()
        for name in names:
            document = Document(
                id=name, author_id="ann", author_name="Ann", source="texts",
                url=f"https://ann.example/{name}", title=name, content=twins.TEXTS[name],
                revision=revision, first_seen=now, last_changed=now,
            )  # fmt: skip
            warehouse.upsert(document)
        warehouse.save_crawl(
            CrawlRecord(
                id="c", run_id="c", recipe="tiny", author_id="ann", source="texts",
                started=now, finished=now, status=CrawlStatus.DONE,
            )
        )  # fmt: skip


def standing(detail, name):
    return detail["measures"][name].partition(":")[0]


def test_a_look_finds_what_is_behind_and_starts_it_once_and_tells_of_its_end(look, endpoint):
    fill(look.settings)
    twins.index_texts(look.recipe, look.settings)
    fine = look()
    assert standing(fine, "index.behind") == standing(fine, "fresh.texts") == "good"
    assert standing(fine, "canaries") == "good"
    assert fine["figures"]["canaries"] == {"value": 1.0, "good": 1.0}
    assert fine["figures"]["component.registry"] == {"good": 0.0}
    assert fine["figures"]["data.changed"] == {}
    # By the name of the version that most callers have, which routers observe nothing of.
    assert endpoint["asked"] == [("twin-tiny-v2", "Where does a job run?")]
    assert standing(fine, "data.changed") == "unknown"  # MLflow is away
    assert [each.split(" is ")[0] for each in fine["told"]] == [
        "tiny: component.registry",
        "tiny: samples.behind",
    ]
    assert [each["pipeline"] for each in fine["starts"]] == ["datasets"]

    fill(look.settings, revision="r2", names=("pods",))
    late = look()
    assert "1 of 3 documents" in late["measures"]["index.behind"]
    assert late["told"] == [
        each for each in late["told"] if each.startswith("tiny: index.behind is bad")
    ]
    assert "Owner: Ann. What to do: " in late["told"][0]
    assert [each["pipeline"] for each in late["starts"]] == ["datasets", "features"]
    assert late["starts"][1]["run_id"].endswith("__tiny")
    again = look()
    assert again["told"] == []
    assert again["starts"] == late["starts"]

    fill(look.settings, revision="r1", names=("pods",))
    assert [each for each in look()["told"] if "index.behind is good again" in each]


def test_a_known_question_that_is_answered_wrong_is_told_once(look, endpoint):
    look()
    endpoint["answer"] = "On a ship."
    assert [each for each in look()["told"] if "canaries is bad" in each]
    assert look()["told"] == []
    endpoint["answer"] = "In a pod."
    assert [each for each in look()["told"] if "canaries is good again" in each]


def test_what_is_away_is_unknown_and_is_told_once(look):
    fill(look.settings)
    twins.index_texts(look.recipe, look.settings)
    look()
    away = {
        "mongo_uri": SecretStr("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300"),
        "endpoint_url": f"http://127.0.0.1:{servers.free_port()}",
    }
    found = look(away)
    assert {each.split(" is ")[0] for each in found["told"]} == {
        "tiny: component.warehouse",
        "tiny: component.endpoint",
    }
    for name in ("index.behind", "fresh.texts", "feedback", "drift.questions", "canaries"):
        assert standing(found, name) == "unknown"
    assert "live.errors" in found["measures"]
    back = look()
    assert {each.split(" (")[0] for each in back["told"]} == {
        "tiny: component.warehouse is good again",
        "tiny: component.endpoint is good again",
    }


def test_a_look_that_is_run_again_tells_again(look):
    first = look(run_id="same")
    assert first["told"]
    assert look(run_id="same")["told"][: len(first["told"])] == first["told"]
    assert look(run_id="other")["told"] == []


def test_paused_nothing_is_started(look):
    fill(look.settings)
    twins.index_texts(look.recipe, look.settings)
    found = look(paused=True)
    assert found["starts"] == []
    assert found["held back"] == ["datasets: monitoring.paused"]
    assert [each["pipeline"] for each in look()["starts"]] == ["datasets"]
    # What was started before is not told again either: a DAG that did not get it would start it.
    assert look(paused=True)["starts"] == []
    assert [each["pipeline"] for each in look()["starts"]] == ["datasets"]


def test_drift_and_feedback_are_those_of_the_callers_and_not_of_monitoring_itself(look):
    now = datetime.now(UTC)
    section = SECTION.model_copy(
        update={"rules": SECTION.rules.model_validate({"training": {"feedback_below": 0.5}})}
    )

    def given(number, at, question):
        made = answer(f"{question}{number}{at}").model_copy(update={"question": question})
        return KeptAnswer(answer=made, created=at, expires=now + DAY)

    old = [(f"c{n}", given(n, now - 5 * DAY, "How do I run a job in a pod?")) for n in range(12)]
    new = [(f"c{n}", given(n, now - HOUR, "Which wine goes with fish?")) for n in range(12)]
    own = [("k", given(n, now - HOUR, "Where does a job run?")) for n in range(30)]
    with open_warehouse(look.settings) as warehouse:
        records = AnswerRecords(warehouse)
        records.add([*old, *new, *own])
        for caller, kept in new:
            records.judge(kept.answer.id, caller, Feedback(thumb="down"), now)
    found = look(section=section)
    assert standing(found, "drift.questions") == "bad"
    assert "(12 callers, then 12)" in found["measures"]["drift.questions"]
    assert standing(found, "feedback") == "bad"
    state, _ = MonitoringStates(look.settings).load("tiny")
    assert state.reference_until is not None  # held, as long as they differ
    assert found["held back"] == ["training: index and samples are brought up to date first"]
    assert any("bad  drift.questions" in line for line in state_lines(state))


def test_people_are_shown_that_nobody_has_looked(look):
    state, _ = MonitoringStates(look.settings).load("tiny")
    assert "nobody has looked" in next(iter(state_lines(state)))


@pytest.mark.nightly
def test_a_look_is_a_run_in_mlflow(look, mlflow_url):
    """What `make test` has is the job with MLflow away; this one is read back from a real one."""
    from mlflow import MlflowClient

    look({"mlflow_tracking_uri": mlflow_url})
    client = MlflowClient(mlflow_url)
    experiment = client.get_experiment_by_name("tiny monitoring")
    run = client.search_runs([experiment.experiment_id])[0]
    assert run.data.metrics["canaries"] == 1
    assert run.data.metrics["canaries.good"] == 1
    assert run.info.status == "FINISHED"
    assert [each.path for each in client.list_artifacts(run.info.run_id)] == ["measures.json"]
