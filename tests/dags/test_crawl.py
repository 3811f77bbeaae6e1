"""The crawl pipeline, run by Airflow itself, against a real warehouse."""

import json
from collections.abc import Iterator
from pathlib import Path

import pymongo
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.utils.db import initdb
from pymongo.database import Database

from tests import servers
from tests.airflow_environment import ROOT, StandIn


@pytest.fixture(scope="module", autouse=True)
def _metadata_database() -> None:
    initdb()


@pytest.fixture(scope="module")
def warehouse_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with servers.warehouse_server(tmp_path_factory.mktemp("warehouse") / "data") as (_, port, _):
        yield port


@pytest.fixture
def warehouse(
    warehouse_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """An empty database, to which connection mongo_default leads."""
    name = tmp_path.name.replace("-", "_")
    connection = {
        "conn_type": "mongo",
        "host": "127.0.0.1",
        "port": warehouse_port,
        "schema": name,
        "extra": {"directConnection": True, "serverSelectionTimeoutMS": 2000},
    }
    monkeypatch.setenv("AIRFLOW_CONN_MONGO_DEFAULT", json.dumps(connection))
    with pymongo.MongoClient("127.0.0.1", warehouse_port, directConnection=True) as client:
        yield client[name]


def states(conf: dict[str, object]) -> dict[str, str]:
    dag = DagBag(ROOT / "dags").dags["crawl"]
    # One try: what is retried stays "up_for_retry" and would be waited for.
    for task in dag.tasks:
        if hasattr(task, "partial_kwargs"):
            task.partial_kwargs["retries"] = 0
        else:
            task.retries = 0
    run = dag.test(run_conf=conf)
    return {
        ti.task_id.removeprefix("one_author."): str(ti.state) for ti in run.get_task_instances()
    }


def test_documents_are_crawled_counted_and_published(
    stand_in: StandIn, warehouse: Database
) -> None:
    warehouse["documents"].insert_many(
        [
            {"_id": "1", "author_id": "handbook", "status": "live"},
            {"_id": "2", "author_id": "handbook", "status": "gone"},
            {"_id": "3", "author_id": "other", "status": "live"},
        ]
    )
    assert states({"recipe": "handbook", "full": True}) == {
        "which_recipes": "success",
        "crawl": "success",
        "count_documents": "success",
        "publish": "success",
    }
    (call,) = stand_in.calls
    assert call["options"][:3] == ["--recipe", "handbook", "--full"]


def test_a_crawl_with_nothing_to_do_still_publishes(stand_in: StandIn, warehouse: Database) -> None:
    """So that the pipelines after it find and repair what broke last time."""
    warehouse["documents"].insert_one({"_id": "1", "author_id": "handbook", "status": "live"})
    stand_in.does("crawl run", status=99, message="nothing new")
    assert states({}) == {
        "which_recipes": "success",
        "crawl": "skipped",
        "count_documents": "success",
        "publish": "success",
    }
    assert "--full" not in stand_in.calls[0]["options"]


def test_an_empty_warehouse_is_an_error(stand_in: StandIn, warehouse: Database) -> None:
    warehouse["documents"].insert_one({"_id": "1", "author_id": "other", "status": "live"})
    assert states({}) == {
        "which_recipes": "success",
        "crawl": "success",
        "count_documents": "failed",
        "publish": "upstream_failed",
    }


def test_a_failed_crawl_publishes_nothing(stand_in: StandIn, warehouse: Database) -> None:
    stand_in.does("crawl run", status=65, message="source 'blog' yields nothing")
    assert states({}) == {
        "which_recipes": "success",
        "crawl": "failed",
        "count_documents": "upstream_failed",
        "publish": "upstream_failed",
    }


def test_a_recipe_that_is_none_is_refused_by_the_form(stand_in: StandIn) -> None:
    with pytest.raises(ValueError, match="'nobody' is not one of"):
        states({"recipe": "nobody"})
