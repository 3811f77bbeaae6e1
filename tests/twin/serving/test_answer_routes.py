"""Answers and passages over a real chain: what is searched, how, and in which order it comes."""

import json

import httpx
import pytest

from tests.twin.serving.conftest import KEY, served
from tests.twin.serving.scripted import TEXT, ScriptedBackend
from twin.domain.answer import Answer
from twin.rag.query import FoundPassages, Query, TextsFilter
from twin.serving.schema import AnswerRequest, SearchRequest

WHY = "Why does a job run in a pod?"


def events(response: httpx.Response) -> list[tuple[str, object]]:
    read = []
    for block in response.text.strip().split("\n\n"):
        name, data = block.split("\n")
        read.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return read


def search(client, **body) -> FoundPassages:
    response = client.post("/v1/search", json={"question": WHY, **body})
    return FoundPassages.model_validate(response.raise_for_status().json())


def titles(found: FoundPassages) -> list[str]:
    return [passage.title for passage in found.passages]


def test_a_search_gives_the_passages_that_an_answer_has(client):
    found = search(client)
    answer = client.post("/v1/answers", json={"question": WHY, "max_tokens": 1}).json()
    assert [passage.chunk_id for passage in found.passages] == [
        source["chunk_id"] for source in answer["sources"]
    ]
    assert len(found.passages) == 2
    assert titles(found)[0] == "On pods"
    assert found.answerable
    assert 0.2 < found.similarity < 1
    assert len(search(client, k=1).passages) == 1


@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        ({"documents": ["rollback"]}, {"On rollback"}),
        ({"documents": ["rollback", "revisions"]}, {"On rollback", "On revisions"}),
        ({"published_from": "2026-01-01", "published_before": "2026-01-02"}, None),
        ({"published_from": "2026-01-01T01:00:00+02:00"}, None),
        ({"authors": ["ann"], "platforms": ["web"], "kinds": ["article", "post"]}, None),
        ({}, None),
        ({"documents": [], "languages": None}, None),
    ],
)
def test_a_filter_narrows_search_and_answer(client, chosen, left):
    every = {"On pods", "On revisions", "On rollback"}
    assert set(titles(search(client, k=5, filter=chosen))) == (left or every)
    body = {"question": WHY, "k": 5, "filter": chosen, "max_tokens": 1}
    answer = Answer.model_validate(client.post("/v1/answers", json=body).json())
    assert {source.title for source in answer.sources} == (left or every)


@pytest.mark.parametrize(
    "chosen",
    [
        {"authors": ["bob"]},
        {"platforms": ["medium"]},
        {"sources": ["mail"]},
        {"kinds": ["code"]},
        {"languages": ["zh"]},
        {"documents": ["nothing"]},
        {"published_from": "2026-01-02"},
        {"published_before": "2026-01-01"},
    ],
)
def test_where_a_filter_leaves_nothing_nothing_is_made_up(client, chosen):
    found = search(client, filter=chosen)
    assert (found.passages, found.answerable) == ((), False)
    assert found.notes[0].startswith("nothing is ")
    body = {"question": WHY, "filter": chosen}
    answer = Answer.model_validate(client.post("/v1/answers", json=body).json())
    assert (answer.answer, answer.refused) == ("I have not written about that.", True)


@pytest.mark.parametrize("path", ["/v1/search", "/v1/answers"])
@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"filter": {"topic": ["pods"]}}, "filter.topic"),
        ({"filter": {"kinds": "article"}}, "filter.kinds"),
        ({"filter": {"kinds": ["x"] * 51}}, "filter.kinds"),
        ({"filter": {"kinds": ["\ud800"]}}, "filter.kinds"),
        ({"filter": {"published_from": "yesterday"}}, "filter.published_from"),
        (
            {"filter": {"published_from": "2026-01-02", "published_before": "2026-01-02"}},
            "published_from must be earlier",
        ),
        ({"k": 0}, "k"),
        ({"k": 21}, "k"),
        ({"expand": "always"}, "expand"),
        ({"question": " "}, "question"),
        ({"model": "other"}, "model"),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name(client, path, body, where):
    content = json.dumps({"question": WHY, **body})
    response = client.post(path, content=content, headers={"content-type": "application/json"})
    assert response.status_code == (404 if "model" in body else 400)
    error = response.json()["error"]
    assert where in f"{error['param']} {error['message']}"


def test_a_question_that_is_too_long_is_not_searched_for(client):
    response = client.post("/v1/search", json={"question": "x" * 4_001})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"


def test_what_is_asked_reaches_the_chain():
    body = {
        "question": WHY,
        "k": 3,
        "rerank": False,
        "expand": "hyde",
        "filter": {"kinds": ["post"]},
    }
    wanted = {
        "question": WHY,
        "passages": 3,
        "rerank": False,
        "expansion": "hyde",
        "filter": TextsFilter(kinds=("post",)),
    }
    assert SearchRequest(**body).query().model_dump() == Query(**wanted).model_dump()
    streamed = AnswerRequest(**body, stream=True, temperature=0.5).query()
    more = {"sources_first": True, "temperature": 0.5}
    assert streamed.model_dump() == Query(**wanted, **more).model_dump()


def test_a_stream_begins_with_the_sources_and_ends_with_the_answer(client):
    body = {"question": WHY, "temperature": 0, "stream": True}
    streamed = client.post("/v1/answers", json=body)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    (first, sources), *texts, (last, whole) = events(streamed)
    assert (first, last) == ("sources", "answer")
    assert {name for name, _ in texts} == {"text"}
    answer = Answer.model_validate(whole)
    assert sources == whole["sources"]
    assert "".join(part["text"] for _, part in texts).strip() == answer.answer
    kept = client.post("/v1/answers", json=body | {"stream": False}).json()
    assert answer.answer == kept["answer"]


def test_what_breaks_a_stream_is_its_last_event():
    with (
        served(ScriptedBackend()) as url,
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}) as client,
    ):
        broken = events(client.post("/v1/answers", json={"question": "fails", "stream": True}))
        assert [name for name, _ in broken] == ["text", "error"]
        assert broken[1][1]["error"]["type"] == "server_error"
        busy = client.post("/v1/answers", json={"question": "busy", "stream": True})
        assert busy.status_code == 503
        fine = events(client.post("/v1/answers", json={"question": "pods", "stream": True}))
        assert fine[-1][1]["answer"] == TEXT.strip()
