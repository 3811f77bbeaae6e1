"""The arguments with which pipelines are started, from what the jobs have left."""

from types import SimpleNamespace
from typing import Any

import pytest

from include.alerts import Alert, UnsentError
from include.monitoring import list_starts, tell

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
