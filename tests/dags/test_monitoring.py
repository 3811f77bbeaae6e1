"""What monitoring has found reaches people, and what it has decided is started, once."""

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.utils.db import initdb

from include.alerts import Alert
from tests.airflow_environment import ROOT, StandIn

START = {
    "pipeline": "features",
    "run_id": "monitoring__features__2026-05-01T12:00:00__handbook",
    "reason": "2 of 9 documents are not in the index as they stand",
}


@pytest.fixture(scope="module", autouse=True)
def _metadata_database() -> None:
    initdb()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    monkeypatch.setattr(Alert, "tell", lambda _self, text: texts.append(text))
    return texts


def states(**conf: object) -> dict[str, str]:
    """State of each task of a run with this form."""
    bag = DagBag(ROOT / "dags")
    for dag in bag.dags.values():
        dag.sync_to_db() if hasattr(dag, "sync_to_db") else None
    dag = bag.dags["monitoring"]
    for task in dag.tasks:
        if hasattr(task, "partial_kwargs"):
            task.partial_kwargs["retries"] = 0
        else:
            task.retries = 0
    instances = dag.test(run_conf=conf).get_task_instances()
    return {ti.task_id: str(ti.state) for ti in instances}


def test_people_are_told_what_the_job_says(stand_in: StandIn, told: list[str]) -> None:
    stand_in.does("monitoring run", detail={"told": ["feedback is bad", "index is good again"]})
    ended = states(recipe="handbook")
    assert told == ["feedback is bad", "index is good again"]
    assert (ended["look"], ended["tell"], ended["list_starts"]) == ("success",) * 3
    (call,) = stand_in.calls
    assert call["options"][:2] == ["--recipe", "handbook"]
    assert "--paused" not in call["options"]


def test_a_job_that_fails_tells_and_starts_nothing(stand_in: StandIn, told: list[str]) -> None:
    stand_in.does("monitoring run", status=65, message="no state")
    ended = states(recipe="handbook")
    assert (ended["look"], ended["tell"], ended["start"]) == ("failed", "success", "skipped")
    assert told == []
