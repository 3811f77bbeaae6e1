"""The arguments with which pipelines are started, from what the jobs have left."""

import socket
from types import SimpleNamespace
from typing import Any

import pytest
import statsd
from airflow.sdk._shared.observability.metrics.statsd_logger import get_statsd_logger

from include import monitoring
from include.alerts import Alert, UnsentError
from include.monitoring import list_starts, measure, tell

START = {"pipeline": "features", "run_id": "monitoring__features__1", "reason": "2 are behind"}
DETAILS = [
    {"told": ["a is bad"], "starts": [START]},
    None,
    {"told": ["c is bad", "c is good again"], "starts": [{**START, "run_id": "x"}] * 2},
]
RECIPES = ["a", "b", "c"]


def pull(task_ids: str, key: str, map_indexes: int) -> Any:
    assert (task_ids, key) == ("look", "detail")
    return DETAILS[map_indexes]


TI = SimpleNamespace(xcom_pull=pull)


def test_each_start_has_its_recipe_its_run_and_its_reason() -> None:
    first, *others = list_starts.function(RECIPES, ti=TI)
    assert first == {
        "trigger_dag_id": "features",
        "trigger_run_id": "monitoring__features__1",
        "conf": {"recipe": "a"},
        "note": "Started by monitoring: 2 are behind",
    }
    assert [each["conf"]["recipe"] for each in others] == ["c", "c"]


def test_people_are_told_of_every_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    monkeypatch.setattr(Alert, "send", lambda _self, text: texts.append(text))
    assert tell.function(RECIPES, ti=TI) == 3
    assert texts == ["a is bad", "c is bad", "c is good again"]


def test_what_reaches_nobody_fails_the_task_after_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[str] = []

    def send(_self: Alert, text: str) -> None:
        if text == "a is bad":
            raise UnsentError("ConnectionError")
        sent.append(text)

    monkeypatch.setattr(Alert, "send", send)
    with pytest.raises(UnsentError, match="1 of 3 alerts were not sent: ConnectionError"):
        tell.function(RECIPES, ti=TI)
    assert sent == ["c is bad", "c is good again"]


def test_figures_become_airflows_metrics_by_recipe_measure_and_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_to: dict[str, float] = {}
    monkeypatch.setattr(monitoring.stats, "gauge", set_to.__setitem__)
    found = {
        "a": {"drift.questions": {"value": 0.25, "good": 0.0}, "fresh.Åse's blog": {"good": 1.0}},
        "b": None,
        "c": {"feedback": {"value": 0.5, "low": 0.25, "high": 0.75}, "canaries": {}},
    }

    def pull(task_ids: str, key: str, map_indexes: int) -> Any:
        figures = found[RECIPES[map_indexes]]
        return None if figures is None else {"figures": figures}

    assert measure.function(RECIPES, ti=SimpleNamespace(xcom_pull=pull)) == 6
    assert set_to == {
        "twin.monitoring.a.drift.questions.value": 0.25,
        "twin.monitoring.a.drift.questions.good": 0.0,
        "twin.monitoring.a.fresh._se_s_blog.good": 1.0,
        "twin.monitoring.c.feedback.value": 0.5,
        "twin.monitoring.c.feedback.low": 0.25,
        "twin.monitoring.c.feedback.high": 0.75,
    }


def test_a_statsd_server_gets_them_by_airflows_own_client(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        client = get_statsd_logger(
            stats_class=statsd.StatsClient, host="127.0.0.1", port=server.getsockname()[1],
            prefix="airflow",
        )  # fmt: skip
        monkeypatch.setattr(monitoring.stats, "gauge", client.gauge)
        detail = {"figures": {"fresh.Åse's: blog|x@y": {"good": 1.0}}}
        measure.function(["handbook"], ti=SimpleNamespace(xcom_pull=lambda **_: detail))
        expected = b"airflow.twin.monitoring.handbook.fresh._se_s__blog_x_y.good:1.0|g"
        assert server.recv(999) == expected
