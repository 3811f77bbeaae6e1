"""Bodies that no honest client sends: the right status, OpenAI's shape, one log line, no defect."""

import gzip
import json

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from structlog.testing import capture_logs

from tests.twin.serving.replicas import GIVEN_KEY, MAX_BODY_BYTES, Scribe
from twin.serving.access import Keys
from twin.serving.api import create_app

JSON = "application/json"
#: More than Python's parser goes into, and as much as it just does.
TOO_DEEP, DEEP = 40_000, 400


@pytest.fixture(scope="module")
def endpoint() -> TestClient:
    app = create_app(Scribe(), Keys([SecretStr(GIVEN_KEY)]), MAX_BODY_BYTES)
    return TestClient(app, raise_server_exceptions=False)


def post(endpoint, content, kind=JSON, path="/v1/answers", **headers):
    """Status and error of a request; it has left one line in the log and no trace of a defect."""
    sent = {"Authorization": f"Bearer {GIVEN_KEY}", "Content-Type": kind, **headers}
    with capture_logs() as logs:
        response = endpoint.post(
            path, content=content, headers={k: v for k, v in sent.items() if v}
        )
    assert [line["event"] for line in logs] == ["request"], logs
    assert logs[0]["status"] == response.status_code
    if response.is_success:
        return response.status_code, None
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return response.status_code, error


def question(**more) -> bytes:
    return json.dumps({"question": "Why?", "model": "twin-a", **more}).encode()


def nested(depth: int, opening: bytes, closing: bytes, inside: bytes = b"1") -> bytes:
    return opening * depth + inside + closing * depth


@pytest.mark.parametrize("path", ["/v1/answers", "/v1/chat/completions"])
@pytest.mark.parametrize(
    "value",
    [
        nested(TOO_DEEP, b"[", b"]"),
        nested(TOO_DEEP // 3, b'{"a":', b"}"),
        b"[" * TOO_DEEP,
        nested(TOO_DEEP // 3, b'{"a":', b""),
    ],
    ids=["lists", "objects", "open lists", "open objects"],
)
def test_json_without_a_floor_is_a_400(endpoint, path, value):
    for content in (value, b'{"question": ' + value + b"}", b'{"messages": ' + value + b"}"):
        status, error = post(endpoint, content, path=path)
        assert status == 400
        assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("field", [b"question", b"model", b"k", b"stop", b"messages", b"tools"])
@pytest.mark.parametrize("braces", [(b"[", b"]"), (b'{"a":', b"}")])
def test_deep_values_where_a_field_is_are_400s(endpoint, field, braces):
    value = nested(DEEP, *braces)
    for path in ("/v1/answers", "/v1/chat/completions"):
        assert post(endpoint, b'{"%s": %s}' % (field, value), path=path)[0] == 400


def test_a_deep_value_that_nobody_reads_is_let_be(endpoint):
    deep = json.loads(nested(DEEP, b"[", b"]"))
    assert post(endpoint, question(metadata=deep)) == (200, None)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (bytes(range(256)) * 20, 400),
        (b"\x00" * 1000, 400),
        (b"\x80\x81" * 500, 400),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), 400),
        (gzip.compress(question(), mtime=0), 400),
        (question().decode().encode("utf-16-be")[1:], 400),
        (b'{"question": "Why?", "model": "twin-a"', 400),
        (b'{"question": "a\x00b"}', 400),
        (b"null", 400),
        (b"7", 400),
        (b'"question"', 400),
        (b"NaN", 400),
    ],
)
def test_what_is_no_json_object_is_a_400_as_json(endpoint, content, status):
    assert post(endpoint, content)[0] == status


@pytest.mark.parametrize(
    "kind",
    [
        "", "text/plain", "application/octet-stream", "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x", "application/jsonish", "json", "*/*", ";;;",
    ],
)  # fmt: skip
def test_another_content_type_is_a_415(endpoint, kind):
    for content in (question(), bytes(range(256)), b"question=Why", b"--x\r\n\r\n--x--"):
        status, error = post(endpoint, content, kind)
        assert (status, error["code"]) == (415, "unsupported_media_type")
        assert "application/json" in error["message"]


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON",
                                  "application/vnd.api+json"])  # fmt: skip
def test_json_by_another_name_is_read(endpoint, kind):
    assert post(endpoint, question(), kind) == (200, None)


@pytest.mark.parametrize(
    "k",
    [0, -1, 21, -(2**31), 2**31, 2**63, -(2**63) - 1, 2**64, 10**30, 10**400, 1.5, 1e300,
     "many", "", [], {}, [1], "9" * 500],
)  # fmt: skip
def test_a_number_of_passages_beyond_reason_is_a_400_of_that_field(endpoint, k):
    status, error = post(endpoint, question(k=k))
    assert (status, error["param"]) == (400, "k")


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"NaN", b"Infinity", b"9" * 5000])
@pytest.mark.parametrize("field", [b"k", b"max_tokens", b"temperature", b"seed", b"top_p"])
def test_numbers_that_are_none_are_400s(endpoint, field, number):
    content = b'{"question": "Why?", "model": "twin-a", "%s": %s}' % (field, number)
    assert post(endpoint, content)[0] == 400


def test_ten_thousand_faults_are_one_refusal(endpoint):
    content = json.dumps({"model": "twin-a", "messages": [7] * 10_000}).encode()
    status, error = post(endpoint, content, path="/v1/chat/completions")
    assert (status, error["param"]) == (400, "messages.0")
    assert len(error["message"]) < 200


def test_a_refusal_repeats_little_of_what_was_sent(endpoint):
    secret = "very-secret-" * 50
    for more in ({"k": secret}, {"temperature": secret}, {"stop": {"a": secret}}):
        assert secret not in post(endpoint, question(**more))[1]["message"]
