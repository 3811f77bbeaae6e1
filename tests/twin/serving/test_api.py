import json
import time

import httpx
import openai
import pytest

from tests import servers
from tests.twin.serving.conftest import KEY, MAX_BODY_BYTES
from twin.domain.answer import Answer


def chat(content, **more):
    message = {"role": "user", "content": content}
    return {"model": "twin-tiny", "messages": [message], "max_tokens": 20, **more}


@pytest.fixture
def official(endpoint):
    """OpenAI's own client."""
    return openai.OpenAI(base_url=f"{endpoint}/v1", api_key=KEY, max_retries=0)


def test_health_needs_no_key(endpoint):
    response = httpx.get(f"{endpoint}/healthz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "models": ["twin-tiny", "twin-tiny-v1"]}


def test_an_answer_has_sources_version_and_trace(client):
    response = client.post("/v1/answers", json={"question": "Why pods?", "max_tokens": 20})
    answer = Answer.model_validate(response.json())
    assert answer.answer
    assert answer.sources[0].title == "On pods"
    assert (answer.model, answer.model_version) == ("twin-tiny", "1")
    assert answer.trace_id.startswith("tr-")


def test_the_number_of_sources_may_be_chosen(client):
    body = {"question": "Why pods?", "k": 1, "max_tokens": 5, "model": "twin-tiny-v1"}
    assert len(client.post("/v1/answers", json=body).json()["sources"]) == 1


def test_the_official_client_chats(official):
    completion = official.chat.completions.create(**chat("Why pods?", temperature=0))
    assert completion.choices[0].message.content
    assert completion.choices[0].finish_reason in ("stop", "length")
    assert completion.usage.total_tokens == (
        completion.usage.prompt_tokens + completion.usage.completion_tokens
    )
    assert completion.system_fingerprint == "twin-tiny-v1"
    assert completion.model_extra["sources"][0]["title"] == "On pods"


def test_the_official_client_streams_the_same_answer(official):
    whole = official.chat.completions.create(**chat("Why pods?", temperature=0))
    stream = official.chat.completions.create(
        **chat("Why pods?", temperature=0, stream=True, stream_options={"include_usage": True})
    )
    chunks = list(stream)
    text = "".join(
        choice.delta.content or "" for chunk in chunks for choice in chunk.choices
    ).strip()
    assert text == whole.choices[0].message.content
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert chunks[-2].model_extra["sources"][0]["title"] == "On pods"
    assert chunks[-1].usage == whole.usage


def test_a_stream_ends_with_done_and_is_not_buffered(client):
    with client.stream("POST", "/v1/chat/completions", json=chat("Why?", stream=True)) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-cache"
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith("data: ") for line in lines)


def test_the_official_client_lists_models(official):
    assert [model.id for model in official.models.list()] == ["twin-tiny", "twin-tiny-v1"]
    assert official.models.retrieve("twin-tiny-v1").id == "twin-tiny-v1"
    with pytest.raises(openai.NotFoundError):
        official.models.retrieve("gpt-4")


def test_the_official_client_understands_refusals(official, endpoint):
    with pytest.raises(openai.NotFoundError, match="twin-tiny"):
        official.chat.completions.create(**{**chat("Why?"), "model": "gpt-4"})
    with pytest.raises(openai.BadRequestError, match="tools is not supported"):
        official.chat.completions.create(
            **chat("Why?", tools=[{"type": "function", "function": {"name": "f"}}])
        )
    stranger = openai.OpenAI(base_url=f"{endpoint}/v1", api_key="no", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        stranger.models.list()


def test_a_conversation_goes_on(client):
    messages = [
        {"role": "user", "content": "Why pods?"},
        {"role": "assistant", "content": "They are given back."},
        {"role": "user", "content": "And revisions?"},
    ]
    body = {"model": "twin-tiny", "messages": messages, "max_tokens": 5}
    first = client.post("/v1/chat/completions", json=chat("And revisions?")).json()
    second = client.post("/v1/chat/completions", json=body).json()
    assert second["usage"]["prompt_tokens"] > first["usage"]["prompt_tokens"]
    # It is searched with the question that it goes on from, so both are there.
    assert "On revisions" in {source["title"] for source in second["sources"]}


@pytest.mark.parametrize(
    "extreme",
    [
        {"temperature": 1e-40},
        {"temperature": 1e-300},
        {"temperature": 2, "top_p": 1e-300},
        {"temperature": 1, "seed": 2**63 - 1},
        {"temperature": 1, "seed": -(2**63)},
    ],
)
def test_extremes_that_the_schema_lets_through_are_answered(client, extreme):
    body = {"question": "Why pods?", "max_tokens": 3, **extreme}
    response = client.post("/v1/answers", json=body)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("path", ["/v1/answers", "/v1/chat/completions", "/v1/models", "/v1/no"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_without_a_key_nothing_is_read(endpoint, path, headers):
    response = httpx.post(f"{endpoint}{path}", content=b"{not json", headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{not json", "not valid JSON"),
        (b"", "the body must be given"),
        (b"[]", "the body must be a JSON object"),
        (b'{"question": ""}', "question"),
        (b'{"question": 7}', "question"),
        (b'{"question": "a", "temperature": "hot"}', "temperature"),
        (b'\xff\xfe{"question": "a"}', "parsing the body"),
        (b'{"question": "a\\ud800b"}', "question"),
    ],
)
def test_malformed_bodies_are_400s_in_openais_shape(client, content, says):
    response = client.post(
        "/v1/answers", content=content, headers={"content-type": "application/json"}
    )
    assert response.status_code == 400
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert says in error["message"]


def test_a_question_of_100000_characters_is_a_400(client):
    for path, body in (
        ("/v1/answers", {"question": "x" * 100_000}),
        ("/v1/chat/completions", chat("x" * 100_000, stream=True)),
    ):
        response = client.post(path, json=body)
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "context_length_exceeded"
        assert "100,000 characters" in response.json()["error"]["message"]


def test_a_body_beyond_the_limit_is_a_413_announced_or_not(client):
    body = json.dumps({"question": "x" * MAX_BODY_BYTES}).encode()
    pieces = (body[start : start + 10_000] for start in range(0, len(body), 10_000))
    for content in (body, pieces):
        response = client.post("/v1/answers", content=content)
        assert response.status_code == 413
        assert "300,000 bytes" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/answers", 405),
        ("GET", "/docs", 404),
    ],
)
def test_unknown_paths_and_methods_are_json_too(client, method, path, status):
    response = client.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]["message"]


def test_a_question_that_the_model_can_not_hold_is_refused_in_both_ways(client):
    # Within the limit of characters, beyond the tiny model's context.
    for stream in (False, True):
        body = chat("\N{GRINNING FACE}" * 3_900, stream=stream)
        response = client.post("/v1/chat/completions", json=body)
        assert response.status_code == 400
        assert "tokens" in response.json()["error"]["message"]


def test_a_request_id_is_given_or_taken_over(client):
    assert len(client.get("/healthz").headers["x-request-id"]) == 32
    named = client.get("/healthz", headers={"x-request-id": "mine-1"})
    assert named.headers["x-request-id"] == "mine-1"
    forged = client.get("/healthz", headers={"x-request-id": "a b"})
    assert len(forged.headers["x-request-id"]) == 32


def test_a_caller_who_leaves_stops_the_generation(client, backend):
    body = chat("Tell me everything.", stream=True, max_tokens=400, temperature=1.5, seed=1)
    before = len(backend.streams_left)
    with client.stream("POST", "/v1/chat/completions", json=body) as response:
        next(response.iter_lines())
    servers.wait_until(lambda: len(backend.streams_left) > before, "the stream is left", 10)
    started = time.monotonic()
    # Both threads are free again: two answers at once are not delayed by what was left.
    client.post("/v1/answers", json={"question": "Why?", "max_tokens": 1})
    assert time.monotonic() - started < 5
