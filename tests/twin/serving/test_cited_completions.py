"""Citations in OpenAI's shapes, read by OpenAI's own client; and answers that are kept."""

import json

import httpx
import openai
import pytest
from pydantic import SecretStr

from tests import servers
from tests.twin.answers import answer
from tests.twin.serving.conftest import KEY, served
from tests.twin.serving.scripted import SOURCE, TEXT, ScriptedBackend
from twin.serving.access import Keys
from twin.serving.answer_book import AnswerBook
from twin.serving.completions import annotations
from twin.settings import get_settings

CHAT = {"model": "twin-tiny", "messages": [{"role": "user", "content": "Why?"}]}
ANSWER = TEXT.strip()


@pytest.fixture(scope="module")
def book(warehouse_uri):
    settings = get_settings().model_copy(
        update={
            "mongo_uri": SecretStr(warehouse_uri),
            "mongo_database": f"cited_{servers.free_port()}",
        }
    )
    return AnswerBook(settings)


@pytest.fixture(scope="module")
def address(book):
    with served(ScriptedBackend(), book=book) as url:
        yield url


@pytest.fixture
def official(address):
    return openai.OpenAI(base_url=f"{address}/v1", api_key=KEY, max_retries=0)


@pytest.fixture
def client(address):
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=address, headers=headers, timeout=30) as client:
        yield client


def quoted(found):
    return [
        (ANSWER[each["start_index"] : each["end_index"]], each["url"], each["title"])
        for each in (item["url_citation"] for item in found)
    ]


CITED = [
    ("Every job is a 🐳 **pod of its own**.", "https://ann.example/whales", "On whales"),
    ("- A pod states what it needs.", "https://ann.example/whales", "On whales"),
]


def test_a_completion_has_annotations(official):
    message = official.chat.completions.create(**CHAT).choices[0].message
    assert message.content == ANSWER
    assert quoted([each.model_dump() for each in message.annotations]) == CITED


def test_a_stream_has_them_in_its_last_delta(official):
    chunks = list(official.chat.completions.create(**CHAT, stream=True))
    *others, last = [chunk.choices[0].delta for chunk in chunks]
    assert quoted(last.model_extra["annotations"]) == CITED
    assert not any("annotations" in (delta.model_extra or {}) for delta in others)
    assert chunks[-1].model_extra["answer_id"]


def test_a_stream_of_an_answer_without_checked_sentences_has_none(official):
    chat = {**CHAT, "messages": [{"role": "user", "content": "hostile"}]}
    chunks = list(official.chat.completions.create(**chat, stream=True))
    assert "annotations" not in (chunks[-1].choices[0].delta.model_extra or {})


def test_an_answer_has_quotations_of_its_sources(client):
    found = client.post("/v1/answers", json={"question": "Why?"}).json()
    [citation] = found["sentences"][0]["citations"]
    assert citation["quote"] == SOURCE[citation["start"] : citation["end"]]
    assert [each["supported"] for each in found["sentences"]] == [True, False, True, False]


def test_an_answer_without_sentences_has_no_annotations():
    assert annotations(answer()) == []


def test_every_way_to_ask_keeps_the_answer_for_feedback(client, official):
    whole = official.chat.completions.create(**CHAT)
    chunks = list(official.chat.completions.create(**CHAT, stream=True))
    ids = [
        client.post("/v1/answers", json={"question": "Why?"}).json()["id"],
        whole.model_extra["answer_id"],
        chunks[-1].model_extra["answer_id"],
    ]
    for identity in ids:
        kept = client.get(f"/v1/answers/{identity}").raise_for_status().json()
        assert kept["answer"]["answer"] == ANSWER
        assert kept["feedback"] is None
        judged = client.post(f"/v1/answers/{identity}/feedback", json={"score": 0.5, "thumb": None})
        assert judged.json()["feedback"]["score"] == 0.5


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "give at least one of thumb, score, correction and comment"),
        ({"thumb": None}, "give at least one"),
        ({"thumb": "sideways"}, "must be 'up' or 'down'"),
        ({"score": 2}, "must be at most 1"),
        ({"comment": "x" * 4_001}, "must have at most 4000 characters"),
        ({"correction": "half a \ud83d"}, "correction: "),
        ([], "the body must be a JSON object"),
    ],
)
def test_feedback_that_says_nothing_or_too_much_is_a_400(client, body, says):
    headers = {"content-type": "application/json"}
    response = client.post("/v1/answers/some/feedback", content=json.dumps(body), headers=headers)
    assert response.status_code == 400, response.text
    assert says in response.json()["error"]["message"]


def test_an_answer_nobody_was_given_is_a_404(client):
    for path in ("/v1/answers/none", "/v1/answers/%00", "/v1/answers/" + "x" * 3_000):
        assert client.get(path).json()["error"]["code"] == "answer_not_found"
    response = client.post("/v1/answers/none/feedback", json={"thumb": "up"})
    assert response.status_code == 404


def test_without_a_key_no_answer_is_read(address):
    assert httpx.get(f"{address}/v1/answers/none").status_code == 401


def test_another_key_does_not_see_it(client, warehouse_uri, book):
    identity = client.post("/v1/answers", json={"question": "Why?"}).json()["id"]
    with served(ScriptedBackend(), book=book, keys=Keys([SecretStr("other")])) as url:
        headers = {"Authorization": "Bearer other"}
        assert httpx.get(f"{url}/v1/answers/{identity}", headers=headers).status_code == 404
