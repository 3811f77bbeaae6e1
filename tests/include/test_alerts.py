"""Failures reach people, and an alert that cannot be sent hurts nothing."""

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from include.alerts import Alert, UnsentError, tell_late


@pytest.fixture
def webhook() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """A server that keeps what is posted to it, with its port."""
    received: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append({"path": self.path, **json.loads(body)})
            self.send_response(500 if self.path == "/broken" else 200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, received
        server.shutdown()


CONTEXT = {
    "ti": SimpleNamespace(
        dag_id="crawl", task_id="one_author.crawl", map_index=1, run_id="run-1", try_number=4,
        log_url="http://airflow/log",
    ),
    "exception": RuntimeError("crawl run ended with status 65: unknown key 'sorces'"),
}  # fmt: skip


def connect(monkeypatch: pytest.MonkeyPatch, **connection: Any) -> None:
    monkeypatch.setenv("AIRFLOW__TWIN__ALERT_CONNECTION", "pager")
    monkeypatch.setenv("AIRFLOW_CONN_PAGER", json.dumps(connection))


def test_a_webhook_is_told_what_failed_and_why(webhook, monkeypatch) -> None:
    port, received = webhook
    connect(
        monkeypatch, conn_type="http", host="127.0.0.1", port=port, extra={"path": "/services/T0"}
    )
    Alert()(CONTEXT)
    assert received == [
        {
            "path": "/services/T0",
            "text": "LLM Twin: crawl.one_author.crawl[1] failed (run run-1, try 4)\n"
            "crawl run ended with status 65: unknown key 'sorces'\n"
            "http://airflow/log",
        }
    ]


def test_without_a_connection_it_is_logged(capsys) -> None:
    Alert()(CONTEXT)
    assert "unknown key 'sorces'" in capsys.readouterr().out


@pytest.mark.parametrize(
    "connection",
    [
        {"conn_type": "http", "host": "http://127.0.0.1:1/hook/secret-token"},
        {"conn_type": "aws", "extra": {}},
    ],
)
def test_an_alert_that_cannot_be_sent_is_logged_without_its_secret(
    monkeypatch, capsys, connection: dict[str, Any]
) -> None:
    connect(monkeypatch, **connection)
    Alert()(CONTEXT)
    shown = capsys.readouterr().out
    assert "The alert could not be sent" in shown
    assert "secret-token" not in shown


def test_a_webhook_that_refuses_is_logged(webhook, monkeypatch, capsys) -> None:
    port, received = webhook
    connect(monkeypatch, conn_type="http", host=f"http://127.0.0.1:{port}/broken")
    Alert()(CONTEXT)
    assert len(received) == 1
    assert "The alert could not be sent: HTTPError" in capsys.readouterr().out
    with pytest.raises(UnsentError, match=r"^HTTPError$"):
        Alert().send("a is bad")


def test_a_run_that_is_late_is_told_of_with_its_deadline(webhook, monkeypatch) -> None:
    port, received = webhook
    connect(monkeypatch, conn_type="http", host="127.0.0.1", port=port)
    run = {"dag_id": "crawl", "dag_run_id": "scheduled__1", "state": "running"}
    deadline = {"id": "1", "deadline_time": "2026-05-01 17:00:00+00:00"}
    asyncio.run(tell_late({"dag_run": run, "deadline": deadline}))
    [told] = received
    assert told["text"].splitlines()[0] == "LLM Twin: crawl is late (run scheduled__1)"
    assert "by 2026-05-01 17:00:00+00:00, and is running" in told["text"]


def test_a_connection_of_another_type_is_named(monkeypatch, capsys) -> None:
    connect(monkeypatch, conn_type="mongo", host="x")
    Alert()(CONTEXT)
    assert "is of type 'mongo'" in capsys.readouterr().out
