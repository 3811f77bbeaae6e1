"""What monitoring has found reaches people, and what it has decided is started, once."""

import pytest
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models import DagRun
from airflow.models.dagbundle import DagBundleModel
from airflow.utils.db import initdb
from airflow.utils.session import create_session

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
    monkeypatch.setattr(Alert, "send", lambda _self, text: texts.append(text))
    return texts


def run(**conf: object) -> DagRun:
    """A run with this form; the pipelines that it may start are known to Airflow."""
    bag = DagBag(ROOT / "dags")
    with create_session() as session:
        session.merge(DagBundleModel(name="dags"))
    sync_bag_to_db(bag, "dags", None)
    dag = bag.dags["monitoring"]
    # One try: what is retried stays "up_for_retry" and would be waited for.
    for task in dag.tasks:
        if hasattr(task, "partial_kwargs"):
            task.partial_kwargs["retries"] = 0
        else:
            task.retries = 0
    return dag.test(run_conf=conf)


def states(ended: DagRun) -> dict[str, str]:
    return {ti.task_id: str(ti.state) for ti in ended.get_task_instances()}


def started() -> list[tuple[str, str, dict[str, object]]]:
    """Runs that monitoring has started, each with its form."""
    with create_session() as session:
        found = session.query(DagRun).filter(DagRun.run_id.like("monitoring\\_\\_%", escape="\\"))
        return [(each.dag_id, each.run_id, each.conf) for each in found]


def test_people_are_told_and_a_pipeline_is_started_once(stand_in: StandIn, told: list[str]) -> None:
    stand_in.does("monitoring run", detail={"told": ["a is bad", "b is good"], "starts": [START]})
    ended = run(recipe="handbook")
    assert told == ["a is bad", "b is good"]
    assert set(states(ended).values()) == {"success"}
    assert started() == [("features", START["run_id"], {"recipe": "handbook"})]
    (call,) = stand_in.calls
    assert call["options"][:2] == ["--recipe", "handbook"]
    assert "--paused" not in call["options"]
    # The next look tells of it again, and it is left as it is.
    again = run(recipe="handbook")
    assert states(again)["start"] == "skipped"
    assert len(started()) == 1


def test_a_job_that_fails_fails_the_run_and_starts_nothing(
    stand_in: StandIn, told: list[str]
) -> None:
    stand_in.does("monitoring run", status=65, message="no state")
    ended = run(recipe="handbook")
    found = states(ended)
    assert (found["look"], found["tell"], found["start"]) == ("failed", "success", "skipped")
    assert str(ended.state) == "failed"
    assert ["no state" in text for text in told] == [True]  # of its own failure


def test_the_switch_reaches_the_job(
    stand_in: StandIn, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_MONITORING_PAUSED", "we move")
    run(recipe="handbook")
    (call,) = stand_in.calls
    assert "--paused" in call["options"]
