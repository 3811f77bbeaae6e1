"""The pipelines `crawl` and `features` with the real images: pods of a cluster, started by a live
Airflow from the same DAG files as on a laptop, working on a real warehouse, files and index.
"""

from datetime import UTC, datetime

import pymongo
import pytest

from tests.kubernetes.cluster import HOST, Cluster
from tests.kubernetes.fixtures import Live
from tests.live_airflow import wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow, pytest.mark.timeout(1800)]


def walk(live: Live) -> dict[str, tuple[str, str]]:
    """Trigger the crawl of the handbook; run and task of both jobs when features is through."""
    began = datetime.now(UTC)
    runs = {"crawl": live.trigger("crawl", recipe="handbook")}
    for dag in ("crawl", "features"):
        wait_until(lambda dag=dag: live.succeeded_since(dag, began), f"{dag} done", 400)
        runs[dag] = live.succeeded_since(dag, began)[0]
    return {"crawl": (runs["crawl"], "crawl"), "features": (runs["features"], "build")}


def xcom(live: Live, dag: str, run: str, task: str, key: str) -> object:
    """What a task left under this key."""
    row = live.tasks(dag, run)[task]
    path = f"/dags/{dag}/dagRuns/{run}/taskInstances/{row['task_id']}/xcomEntries/{key}"
    return live.call("GET", path, params={"map_index": row["map_index"]})["value"]


def test_an_author_is_crawled_and_indexed_by_pods(
    live: Live, cluster: Cluster, real_images: None
) -> None:
    first = walk(live)
    found = {}
    for dag, (run, task) in first.items():
        assert live.states(dag, run)[task] == "success"
        assert str(xcom(live, dag, run, task, "pod_name")).startswith(f"twin-{dag}-")
        found[dag] = xcom(live, dag, run, task, "counts")
        print(f"{dag}: {found[dag]}, {live.tasks(dag, run)[task]['duration']:.1f} s")
    with pymongo.MongoClient(HOST, live.warehouse_port, directConnection=True) as client:
        documents = client["twin"]["documents"].count_documents({"status": "live"})
    assert documents > 10
    assert str(documents) in str(found["crawl"])
    assert any((live.index / "handbook").rglob("*")), "the index is empty"
    cluster.is_empty()

    for dag, (run, task) in walk(live).items():
        assert live.states(dag, run)[task] == "skipped", "there was something to do again"
    cluster.is_empty()
