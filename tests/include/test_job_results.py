"""What is made of a job's result and of its last lines."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from include.job_results import level_of, push_result, read_result, reason_in
from include.jobs import JobOperator


def test_the_last_reason_is_the_reason() -> None:
    lines = [
        "twin training sft: error: the first",
        "twin training sft: nothing to do: the second",
        "2026-01-01T00:00:00Z [info     ] result",
    ]
    assert reason_in(lines) == "the second"
    assert reason_in(iter(lines[:1])) == "the first"
    assert reason_in(lines[2:]) is None
    assert reason_in([]) is None


def test_without_a_reason_the_last_line_that_says_something_is_told() -> None:
    with DAG("tests"):
        task = JobOperator(task_id="a_task", job="crawl run", recipe="handbook")
    ending = task._ending(1, ["it began", "it broke", " "], None)
    assert str(ending) == "crawl run for recipe handbook ended with status 1: it broke"
    assert str(task._ending(1, [], None)).endswith("it said nothing")
    skipped = task._ending(99, ["twin crawl run: nothing to do: all is there"], None)
    assert isinstance(skipped, AirflowSkipException)


def test_a_result_is_an_object(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.write_text(json.dumps({"counts": {"read": 1}}))
    assert read_result(file.as_uri(), "crawl run") == {"counts": {"read": 1}}
    file.write_text(json.dumps(["counts"]))
    with pytest.raises(AirflowException, match=r"result\.json is no job's result"):
        read_result(file.as_uri(), "crawl run")
    file.unlink()
    with pytest.raises(AirflowException, match="crawl run left no result at file://"):
        read_result(file.as_uri(), "crawl run")


def test_only_a_web_address_becomes_a_link() -> None:
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value}))
    push_result(ti, {"counts": {"read": 1}, "uris": {"mlflow_run": "javascript:alert(1)"}})
    assert pushed == {"counts": {"read": 1}, "ids": {}, "detail": {}}
    push_result(ti, {"uris": {"mlflow_run": "https://mlflow.example.com/1"}})
    assert pushed["mlflow_run_url"] == "https://mlflow.example.com/1"


def test_levels() -> None:
    assert level_of("2026-01-01T00:00:00Z [warning  ] slow") == logging.WARNING
    assert level_of("twin crawl run: error: no page") == logging.ERROR
    assert level_of("a page") == logging.INFO
