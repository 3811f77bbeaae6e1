import pytest
from pydantic import SecretStr
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from twin.serving.access import BearerAccess, Keys
from twin.serving.requests_log import RequestsLog


def lines(path, status):
    with capture_logs() as logs:
        TestClient(RequestsLog(PlainTextResponse("", status))).get(path)
    return [(line["path"], line["status"]) for line in logs]


@pytest.mark.parametrize(
    ("path", "status"), [("/v1/models", 200), ("/v1/answers", 503), ("/healthz", 500), ("/", 404)]
)
def test_a_request_leaves_a_line(path, status):
    assert lines(path, status) == [(path, status)]


def test_a_health_check_that_succeeds_leaves_none():
    assert lines("/healthz", 200) == []


def test_a_line_names_whose_key_it_was_and_not_the_key():
    keys = Keys([SecretStr("very-secret")])
    app = TestClient(RequestsLog(BearerAccess(PlainTextResponse(""), keys)))
    with capture_logs() as logs:
        app.get("/v1/models", headers={"Authorization": "Bearer very-secret"})
        app.get("/v1/models")
    assert [line.get("key") for line in logs] == [keys.check("Bearer very-secret").id, None]
    assert "very-secret" not in str(logs)
