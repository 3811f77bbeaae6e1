"""What callers are told: plain words that name the cause, in OpenAI's shape."""

import json

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from tests.conftest import ROOT
from twin.serving.access import Keys
from twin.serving.api import create_app
from twin.serving.routing import RoutingTable

CASES = ROOT.parent / "shared" / "cases"
KEY = "test-key"
HEADERS = {"Authorization": f"Bearer {KEY}"}
PAGE = "https://page.example"


class Table:
    """A backend of which only the routing table is used: what is refused reaches no model."""

    table = RoutingTable.model_validate(
        {"models": {"twin-handbook": {"versions": {"1": 100}, "max_question_characters": 4_000}}}
    )


def client(**options) -> TestClient:
    return TestClient(create_app(Table(), Keys([SecretStr(KEY)]), 300_000, **options))


@pytest.fixture(scope="module")
def endpoint() -> TestClient:
    return client()


def body(**more):
    return {
        "model": "twin-handbook",
        "messages": [{"role": "user", "content": "Why?"}],
        **more,
    }


@pytest.mark.parametrize(
    ("more", "param", "says"),
    [
        ({"temperature": 3}, "temperature", "must be at most 2"),
        ({"temperature": -1}, "temperature", "must be at least 0"),
        ({"temperature": "hot"}, "temperature", "must be a number"),
        ({"top_p": 1.5}, "top_p", "must be at most 1"),
        ({"max_tokens": 0}, "max_tokens", "must be at least 1"),
        ({"max_tokens": 1.5}, "max_tokens", "must be a whole number"),
        ({"max_tokens": "many"}, "max_tokens", "must be a whole number"),
        ({"seed": 2**63}, "seed", f"must be less than {2**63}"),
        ({"stream": "perhaps"}, "stream", "must be true or false"),
        ({"stream_options": 7}, "stream_options", "must be a JSON object"),
        ({"n": 2}, "n", "2 choices are not supported: only 1 is"),
        ({"stop": list("abcde")}, "stop", "has 5 texts: at most 4 are taken"),
        ({"stop": 7}, "stop", "must be a text or a list of texts"),
        ({"model": ""}, "model", "must not be empty"),
        ({"model": "x" * 201}, "model", "must have at most 200 characters"),
        ({"model": 7}, "model", "must be a text"),
        ({"model": None}, "model", "must be given"),
        ({"messages": []}, "messages", "must not be empty"),
        ({"messages": "hi"}, "messages", "must be a list"),
        ({"messages": ["hi"]}, "messages.0", "must be a JSON object"),
        ({"messages": [{"content": "a"}]}, "messages.0.role", "must be given"),
        (
            {"messages": [{"role": "tool", "content": "a"}]},
            "messages.0.role",
            "must be 'system', 'developer', 'user' or 'assistant'",
        ),
        (
            {"messages": [{"role": "user", "content": 7}]},
            "messages.0.content",
            "must be a text, or a list of parts of type text",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]},
            "messages.0",
            "tool_calls is not supported",
        ),
        ({"messages": [{"role": "assistant", "content": "a"}]}, None, "must be the user's"),
        ({"logit_bias": {"5": 1}}, "logit_bias", "logit_bias is not supported"),
        ({"audio": {"voice": "a"}}, "audio", "audio is not supported"),
        ({"response_format": {"type": "xml"}}, "response_format.type",
         "must be 'text', 'json_object' or 'json_schema'"),
        ({"response_format": {"type": "json_schema"}}, "response_format",
         "json_schema needs its schema"),
    ],
)  # fmt: skip
def test_a_refusal_names_field_and_cause(endpoint, more, param, says):
    response = endpoint.post("/v1/chat/completions", json=body(**more), headers=HEADERS)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == param
    assert says in error["message"]
    for internal in ("function-after", "Input should", "pydantic", "Field required", "ValidationE"):
        assert internal not in error["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/answers"])
@pytest.mark.parametrize("media_type", ["application/x-www-form-urlencoded", "text/plain", None])
def test_a_body_that_is_not_sent_as_json_is_told_the_header(endpoint, path, media_type):
    headers = HEADERS | ({"Content-Type": media_type} if media_type else {})
    response = endpoint.post(path, content=json.dumps(body()), headers=headers)
    # Without any media type the body is read as JSON.
    if response.status_code != 400:
        assert response.status_code == 415
        assert "Content-Type: application/json" in response.json()["error"]["message"]
    else:
        assert media_type is None


def test_a_body_is_json_whatever_its_parameters(endpoint):
    for media_type in ("application/json; charset=utf-8", "application/vnd.api+json"):
        headers = HEADERS | {"Content-Type": media_type}
        response = endpoint.post("/v1/chat/completions", content="[]", headers=headers)
        assert response.status_code == 400
        assert response.json()["error"]["message"] == "the body must be a JSON object"


def test_a_system_text_is_limited_like_a_question(endpoint):
    messages = [{"role": "system", "content": "x" * 4_001}, {"role": "user", "content": "a"}]
    response = endpoint.post("/v1/chat/completions", json=body(messages=messages), headers=HEADERS)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"
    assert "the system text has 4,001 characters" in response.json()["error"]["message"]


def test_shared_case_of_a_long_system_text_is_refused(endpoint):
    path = CASES / "http-E45.json"
    if not path.is_file():
        pytest.skip(f"needs {path.name} of the shared cases")
    response = endpoint.post(
        "/v1/chat/completions", json=json.loads(path.read_text()), headers=HEADERS
    )
    assert response.json()["error"]["code"] == "context_length_exceeded"


def test_a_preflight_is_answered_without_a_key():
    endpoint = client(cors_origins=(PAGE,))
    asked = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
    }
    response = endpoint.options("/v1/chat/completions", headers=asked)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == PAGE
    assert "x-stainless-os" in response.headers["access-control-allow-headers"]
    refused = endpoint.post("/v1/answers", headers={"Origin": PAGE})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == PAGE
    exposed = refused.headers["access-control-expose-headers"].split(", ")
    assert {"x-request-id", "Retry-After", "x-ratelimit-remaining-tokens"} <= set(exposed)
    assert len(exposed) == 8
    other = endpoint.options("/v1/answers", headers=asked | {"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers


def test_without_the_setting_no_page_may_ask(endpoint):
    response = endpoint.get("/healthz", headers={"Origin": PAGE})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


def test_behind_serve_a_response_has_one_id():
    from ray.serve._private.http_util import RequestIdMiddleware

    app = create_app(Table(), Keys([SecretStr(KEY)]), 300_000, names_responses=False)
    endpoint = TestClient(RequestIdMiddleware(app))
    named = endpoint.get("/healthz", headers={"x-request-id": "mine-1"})
    assert named.headers.get_list("x-request-id") == ["mine-1"]
    assert len(endpoint.get("/healthz").headers.get_list("x-request-id")) == 1
