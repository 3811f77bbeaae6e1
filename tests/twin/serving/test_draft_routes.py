"""Drafts over HTTP: real routes, keys, store and drafter; a script stands for model and index."""

import json

import httpx
import pytest
from pydantic import SecretStr

from tests import servers
from tests.twin.drafts import TEXTS, WHALES, ScriptedWriting, dated, verifier
from tests.twin.serving.conftest import KEY, served
from tests.twin.serving.drafting import DraftingBackend
from twin.serving.access import Keys
from twin.serving.answer_book import AnswerBook
from twin.serving.metrics import ProcessMetrics
from twin.settings import get_settings
from twin.stores.answer_records import AnswerRecords
from twin.stores.warehouse import open_warehouse

HEADERS = {"Authorization": f"Bearer {KEY}"}
TOPIC = {"topic": "Why every job runs in a pod, and what it costs", "length": "short"}


@pytest.fixture(scope="module")
def settings(warehouse_uri):
    own = {"mongo_uri": SecretStr(warehouse_uri), "mongo_database": f"draft_{servers.free_port()}"}
    return get_settings().model_copy(update=own)


@pytest.fixture(scope="module")
def known():
    return verifier()


@pytest.fixture(scope="module")
def backend(known):
    return DraftingBackend(known)


@pytest.fixture(scope="module")
def metrics():
    return ProcessMetrics()


@pytest.fixture(scope="module")
def address(backend, settings, metrics):
    with served(backend, book=AnswerBook(settings), metrics=metrics) as url:
        yield url


@pytest.fixture
def client(address, backend):
    backend.writing, backend.breaks = ScriptedWriting(), None
    with httpx.Client(base_url=address, headers=HEADERS, timeout=30) as client:
        yield client


def written(client, **more) -> dict:
    return client.post("/v1/drafts", json={**TOPIC, **more}).raise_for_status().json()


def events_of(text: str) -> list[tuple[str, dict]]:
    blocks = [block.split("\n", 1) for block in text.strip().split("\n\n")]
    return [
        (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for name, data in blocks
    ]


def refused(response, status) -> dict:
    assert response.status_code == status, response.text
    return response.json()["error"]


def test_a_draft_is_written_kept_and_read_again(client):
    draft = written(client, kind="newsletter", notes="Be kind.", language="German")
    assert draft["answer"].startswith(f"# {TOPIC['topic']}\n\n## What a pod states\n\n{WHALES}")
    assert draft["draft"]["kind"] == "newsletter"
    assert draft["draft"]["language"] == "German"
    assert draft["model_version"] in {"1", "2"}
    kept = client.get(f"/v1/drafts/{draft['id']}").json()
    assert kept["answer"] == draft
    assert kept["expires"] > kept["created"]


def test_a_draft_is_exported_as_markdown_with_its_sources(client):
    draft = written(client)
    exported = client.get(f"/v1/drafts/{draft['id']}", params={"format": "markdown"})
    assert exported.headers["content-type"] == "text/markdown; charset=utf-8"
    assert exported.headers["content-disposition"].endswith('.md"')
    assert exported.text.startswith(draft["answer"] + "\n\n---\n\nSources:\n\n")
    for source in draft["sources"]:
        assert exported.text.count(f"](<{source['url']}>)") == 1
    refused(client.get(f"/v1/drafts/{draft['id']}", params={"format": "pdf"}), 400)


def test_a_stream_has_the_outline_then_each_section_with_its_sources(client):
    response = client.post("/v1/drafts", json={**TOPIC, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    events = events_of(response.text)
    names = [name for name, _ in events]
    assert (names[0], names[1], names[-1]) == ("outline", "section", "draft")
    assert events[0][1] == {"outline": ["What a pod states", "What it costs"]}
    sections = [data for name, data in events if name == "section"]
    assert [(each["number"], each["heading"]) for each in sections] == [
        (1, "What a pod states"),
        (2, "What it costs"),
    ]
    assert all(each["sources"] for each in sections)
    text = "".join(data["text"] for name, data in events if name == "text")
    assert text.split() == events[-1][1]["answer"].split()
    kept = client.get(f"/v1/drafts/{events[-1][1]['id']}").json()
    assert kept["answer"] == events[-1][1]


def test_a_failure_in_mid_stream_is_an_event_and_before_it_a_status(client, backend):
    backend.breaks = 3
    *_, (name, data) = events_of(client.post("/v1/drafts", json={**TOPIC, "stream": True}).text)
    assert (name, data["error"]["code"]) == ("error", "model_unavailable")
    backend.breaks = 0
    refused(client.post("/v1/drafts", json={**TOPIC, "stream": True}), 503)
    refused(client.post("/v1/drafts", json=TOPIC), 503)


def test_what_is_asked_for_reaches_the_drafter(client, backend):
    asked = {"kind": "thread", "notes": "n", "outline": ["B", "A"], "temperature": 0.3}
    narrowed = {"kinds": ["article"]}
    written(client, **asked, seed=5, top_p=0.5, max_tokens=9, filter=narrowed, model="twin-tiny-v2")
    target, query = backend.asked[-1]
    assert target.version == "2"
    task = query.draft
    assert (task.topic, task.kind, task.length) == (TOPIC["topic"], "thread", "short")
    assert (task.notes, task.outline) == ("n", ("B", "A"))
    assert (query.temperature, query.seed, query.top_p) == (0.3, 5, 0.5)
    assert query.max_new_tokens == 9
    assert query.filter.kinds == ("article",)
    assert "thread" in query.question


def test_a_revision_goes_on_from_the_draft_by_the_version_that_wrote_it(client, backend):
    first = written(client, model="twin-tiny-v2", notes="n", filter={"kinds": ["article"]})
    path = f"/v1/drafts/{first['id']}/revisions"
    second = client.post(path, json={"instruction": "Shorter.", "section": 2, "seed": 3}).json()
    assert second["id"] != first["id"]
    sections = [section["text"] for section in second["draft"]["sections"]]
    assert sections == [TEXTS["What a pod states"], backend.writing.revised]
    target, query = backend.asked[-1]
    assert (target.version, query.seed) == ("2", 3)
    assert query.filter.kinds == ("article",)
    assert query.draft.notes == "n"
    kept = client.get(f"/v1/drafts/{second['id']}").json()
    assert kept["previous"] == first["id"]
    assert second["draft"]["instruction"] == "Shorter."
    streamed = client.post(path, json={"instruction": "Shorter.", "stream": True})
    assert events_of(streamed.text)[-1][0] == "draft"


def test_a_version_that_is_gone_leaves_the_revision_to_its_model(client, backend, settings):
    first = written(client, model="twin-tiny-v2")
    route = backend.table.models["twin-tiny"].model_copy(update={"versions": {"1": 100}})
    newer = DraftingBackend(backend.known, table=backend.table.model_copy(
        update={"models": {"twin-tiny": route}}
    ))  # fmt: skip
    with served(newer, book=AnswerBook(settings)) as url:
        path = f"{url}/v1/drafts/{first['id']}/revisions"
        httpx.post(path, json={"instruction": "x"}, headers=HEADERS).raise_for_status()
    assert newer.asked[0][0].version == "1"


def test_feedback_is_given_as_on_any_answer(client):
    draft = written(client)
    path = f"/v1/answers/{draft['id']}/feedback"
    judged = client.post(path, json={"thumb": "down", "correction": "Say less."}).json()
    assert judged["feedback"]["correction"] == "Say less."
    assert judged["answer"]["question"].startswith("Write a short post about this: ")


def test_to_forget_a_document_erases_the_draft_and_its_revisions(client, settings):
    first = written(client, outline=["Rolling back"], filter={"kinds": ["article"]})
    documents = {source["document_id"] for source in first["sources"]}
    path = f"/v1/drafts/{first['id']}/revisions"
    second = client.post(path, json={"instruction": "x"}).json()
    for each in (first, second):
        client.get(f"/v1/drafts/{each['id']}").raise_for_status()
    with open_warehouse(settings) as warehouse:
        assert AnswerRecords(warehouse).forget(documents) >= 2
    for each in (first, second):
        assert refused(client.get(f"/v1/drafts/{each['id']}"), 404)["code"] == "draft_not_found"


def test_to_forget_an_older_view_erases_the_draft_that_quotes_it(client, backend, settings):
    waits = "A job waits {} seconds for the warehouse before it gives up."
    old, new = dated("old-view", waits.format(90), 2020), dated("new-view", waits.format(30), 2024)
    backend.writing = ScriptedWriting(corpus=(old, new), texts={"Waiting": "It gives up at last."})
    draft = written(client, outline=["Waiting"])
    assert {source["document_id"] for source in draft["sources"]} == {"new-view"}
    assert [each["quote"] for each in draft["draft"]["contradictions"]] == [old.text]
    client.get(f"/v1/drafts/{draft['id']}").raise_for_status()
    with open_warehouse(settings) as warehouse:
        assert AnswerRecords(warehouse).forget({"old-view"}) == 1
    refused(client.get(f"/v1/drafts/{draft['id']}"), 404)


def test_another_key_reads_and_revises_nothing_of_this_one(client, backend, settings):
    draft = written(client)
    others = {"Authorization": "Bearer other"}
    with served(backend, book=AnswerBook(settings), keys=Keys([SecretStr("other")])) as url:
        path = f"{url}/v1/drafts/{draft['id']}"
        refused(httpx.get(path, headers=others), 404)
        body = {"instruction": "x"}
        refused(httpx.post(f"{path}/revisions", json=body, headers=others), 404)
    client.get(f"/v1/drafts/{draft['id']}").raise_for_status()


def test_without_a_book_drafts_are_written_and_not_kept(known):
    with served(DraftingBackend(known)) as url:
        draft = httpx.post(f"{url}/v1/drafts", json=TOPIC, headers=HEADERS).json()
        assert draft["draft"]["sections"]
        refused(httpx.get(f"{url}/v1/drafts/{draft['id']}", headers=HEADERS), 404)


def test_a_refused_draft_is_an_answer_that_cannot_be_revised(client):
    draft = written(client, topic="Paris")
    assert draft["refused"]
    response = client.post(f"/v1/drafts/{draft['id']}/revisions", json={"instruction": "x"})
    assert "nothing was written" in refused(response, 400)["message"]


def test_drafts_are_counted_as_answers_are(client, metrics):
    written(client, topic="Paris", model="twin-tiny-v1")
    counted = httpx.get(f"{client.base_url}/metrics", headers=HEADERS).text
    assert (
        'twin_answers_total{model="twin-tiny",outcome="refused",prompt="",version="1"}' in counted
    )
    assert 'twin_sentences_total{model="twin-tiny",prompt="",supported="false"' in counted


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "topic: must be given"),
        ({"topic": "  "}, "topic: must not be blank"),
        ({"topic": "half \ud83d"}, "half a character"),
        ({"topic": "x" * 5_000}, "at most 4,000 are read"),
        ({"topic": "x", "notes": "n" * 5_000}, "notes has 5,000 characters"),
        ({"topic": "x", "notes": "n" * 20_001}, "at most 20000 characters"),
        ({"topic": "x", "kind": "poem"}, "kind: must be"),
        ({"topic": "x", "length": "endless"}, "length: must be"),
        ({"topic": "x", "language": "x" * 41}, "at most 40 characters"),
        ({"topic": "x", "outline": [" "]}, "must not be blank"),
        ({"topic": "x", "outline": ["x"] * 13}, "at most 12"),
        ({"topic": "x", "max_tokens": 0}, "must be at least 1"),
        ({"topic": "x", "filter": {"colour": ["red"]}}, "colour"),
        ({"topic": "x", "tools": [{}]}, "tools is not supported"),
    ],
)
def test_what_cannot_be_honoured_is_refused(client, body, says):
    headers = {"content-type": "application/json"}
    response = client.post("/v1/drafts", content=json.dumps(body), headers=headers)
    assert says in refused(response, 400)["message"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "instruction: must be given"),
        ({"instruction": " "}, "must not be blank"),
        ({"instruction": "x" * 2_001}, "at most 2000 characters"),
        ({"instruction": "x", "section": 0}, "must be at least 1"),
        ({"instruction": "x", "section": 3}, "at most 2, the sections"),
    ],
)
def test_a_revision_that_cannot_be_made_is_refused(client, body, says):
    draft = written(client)
    response = client.post(f"/v1/drafts/{draft['id']}/revisions", json=body)
    assert says in refused(response, 400)["message"]


def test_no_draft_of_an_unknown_id_or_of_a_plain_answer(client):
    assert refused(client.get("/v1/drafts/none"), 404)["code"] == "draft_not_found"
    response = client.post("/v1/drafts/none/revisions", json={"instruction": "x"})
    assert refused(response, 404)["code"] == "draft_not_found"
    assert KEY not in response.text
