"""A document is forgotten by the form, run by Airflow itself."""

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.utils.db import initdb

from tests.airflow_environment import ROOT, StandIn

URL = "https://ada.example/p?a=1&b={{2}}"


@pytest.fixture(scope="module", autouse=True)
def _metadata_database() -> None:
    initdb()


def states(**conf: object) -> dict[str, str]:
    """State of each task of a run with this form."""
    dag = DagBag(ROOT / "dags").dags["forget"]
    # One try: what is retried stays "up_for_retry" and would be waited for.
    for task in dag.tasks:
        if hasattr(task, "partial_kwargs"):
            task.partial_kwargs["retries"] = 0
        else:
            task.retries = 0
    instances = dag.test(run_conf=conf).get_task_instances()
    return {ti.task_id.removeprefix("one_document."): str(ti.state) for ti in instances}


def test_the_document_is_forgotten_and_what_follows_is_made_anew(stand_in: StandIn) -> None:
    ended = states(recipe="handbook", url=f" {URL} ", reason="asked by mail")
    assert ended == {"which_recipes": "success", "forget": "success", "publish": "success"}
    (call,) = stand_in.calls
    assert call["job"] == "crawl forget"
    assert call["options"][:4] == ["--recipe", "handbook", URL, "--reason=asked by mail"]


@pytest.mark.parametrize(
    ("status", "ended"), [(99, ("skipped", "success")), (65, ("failed", "upstream_failed"))]
)
def test_how_it_may_end(stand_in: StandIn, status: int, ended: tuple[str, str]) -> None:
    stand_in.does("crawl forget", status=status, message="so it is")
    found = states(recipe="handbook", url=URL)
    assert (found["forget"], found["publish"]) == ended


@pytest.mark.parametrize("url", ["", "ada.example/p", "--full", "https://a b"])
def test_what_is_no_url_is_refused_by_the_form(stand_in: StandIn, url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        states(recipe="handbook", url=url)


def test_no_run_starts_without_a_url(stand_in: StandIn) -> None:
    with pytest.raises(ValueError, match="url"):
        states(recipe="handbook")
