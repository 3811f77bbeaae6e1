import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from structlog.testing import capture_logs

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
