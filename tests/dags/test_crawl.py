"""The crawl pipeline, run by Airflow itself, against a real warehouse."""

import json
from collections.abc import Iterator
from pathlib import Path

import pymongo
import pytest
import yaml
from airflow.dag_processing.dagbag import DagBag
from airflow.utils.db import initdb
from pymongo.database import Database

from include.crawl_sources import crawls_of
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


def states(conf: dict[str, object], *, named: bool = False) -> dict[str, str]:
    """State of each task; ``named``: each mapped task by its name in the web UI."""
    dag = DagBag(ROOT / "dags").dags["crawl"]
    dag.deadline = None  # of Airflow 3.3: `test` takes the alert itself for the id of one
    # One try: what is retried stays "up_for_retry" and would be waited for.
    for task in dag.tasks:
        if hasattr(task, "partial_kwargs"):
            task.partial_kwargs["retries"] = 0
        else:
            task.retries = 0
    run = dag.test(run_conf=conf)
    instances = run.get_task_instances()
    return {
        ti.task_id.removeprefix("one_author.") + (f"[{ti.rendered_map_index}]" if named else ""):
        str(ti.state) for ti in instances
    }  # fmt: skip


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
        "list_crawls": "success",
        "crawl": "success",
        "check_crawls": "success",
        "count_documents": "success",
        "publish": "success",
    }
    (call,) = stand_in.calls
    assert call["options"][:4] == ["--recipe", "handbook", "--source=handbook", "--full"]


def test_a_crawl_with_nothing_to_do_still_publishes(stand_in: StandIn, warehouse: Database) -> None:
    """So that the pipelines after it find and repair what broke last time."""
    warehouse["documents"].insert_one({"_id": "1", "author_id": "handbook", "status": "live"})
    stand_in.does("crawl run", status=99, message="nothing new")
    assert states({}) == {
        "which_recipes": "success",
        "list_crawls": "success",
        "crawl": "skipped",
        "check_crawls": "success",
        "count_documents": "success",
        "publish": "success",
    }
    assert "--full" not in stand_in.calls[0]["options"]


def test_an_empty_warehouse_is_an_error(stand_in: StandIn, warehouse: Database) -> None:
    warehouse["documents"].insert_one({"_id": "1", "author_id": "other", "status": "live"})
    assert states({}) == {
        "which_recipes": "success",
        "list_crawls": "success",
        "crawl": "success",
        "check_crawls": "success",
        "count_documents": "failed",
        "publish": "upstream_failed",
    }


def test_a_failed_crawl_publishes_nothing(stand_in: StandIn, warehouse: Database) -> None:
    stand_in.does("crawl run", status=65, message="source 'blog' yields nothing")
    assert states({}) == {
        "which_recipes": "success",
        "list_crawls": "success",
        "crawl": "failed",
        "check_crawls": "failed",
        "count_documents": "upstream_failed",
        "publish": "upstream_failed",
    }


def test_a_recipe_that_is_none_is_refused_by_the_form(stand_in: StandIn) -> None:
    with pytest.raises(ValueError, match="'nobody' is not one of"):
        states({"recipe": "nobody"})


@pytest.fixture
def three_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only recipe there is, with three sources."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    sources = [{"kind": "folder", "name": name, "path": "."} for name in ("blog", "posts", "code")]
    recipe = {"name": "ada", "author": {"id": "ada", "name": "Ada"}, "sources": sources}
    (folder / "ada.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.setattr("include.recipe_files.RECIPES", folder)
    return folder


def test_every_source_is_a_task_and_one_that_fails_stops_no_other(
    stand_in: StandIn, warehouse: Database, three_sources: Path
) -> None:
    warehouse["documents"].insert_one({"_id": "1", "author_id": "ada", "status": "live"})
    stand_in.does("crawl run", only_with="--source=posts", status=65, message="yields nothing")
    assert states({"recipe": "ada"}, named=True) == {
        "which_recipes[None]": "success",
        "list_crawls[None]": "success",
        "crawl[ada: blog]": "success",
        "crawl[ada: posts]": "failed",
        "crawl[ada: code]": "success",
        "check_crawls[ada]": "failed",
        "count_documents[0]": "upstream_failed",
        "publish[0]": "upstream_failed",
    }
    assert len(stand_in.calls) == 3


def test_links_are_crawled_instead_of_the_sources(
    stand_in: StandIn, warehouse: Database, three_sources: Path
) -> None:
    warehouse["documents"].insert_one({"_id": "1", "author_id": "ada", "status": "live"})
    # What looks like a template comes from outside and is never rendered.
    links = ["https://example.org/a", " https://example.org/{{1+1}}?b=c "]
    ended = states({"recipe": "ada", "links": links}, named=True)
    assert {name: state for name, state in ended.items() if name.startswith("crawl[")} == {
        "crawl[ada: https://example.org/a]": "success",
        "crawl[ada: https://example.org/%7B%7B1+1%7D%7D?b=c]": "success",
    }
    assert sorted(call["options"][2] for call in stand_in.calls) == [
        "--link=https://example.org/%7B%7B1+1%7D%7D?b=c",
        "--link=https://example.org/a",
    ]


@pytest.mark.parametrize("link", ["ftp://example.org/", "example.org", "--full", "https://a b"])
def test_what_is_no_link_is_refused_in_words_by_the_first_task(
    stand_in: StandIn, capfd: pytest.CaptureFixture[str], link: str
) -> None:
    ended = states({"links": ["https://example.org/fine", link]})
    assert ended["which_recipes"] == "failed"
    assert set(ended.values()) == {"failed", "upstream_failed"}
    assert stand_in.calls == []
    said = "".join(capfd.readouterr())
    assert f"Links: {link!r}: give the whole address" in said


def test_a_broken_recipe_is_not_offered_and_the_documentation_says_why(
    stand_in: StandIn, three_sources: Path
) -> None:
    (three_sources / "bob.yaml").write_text("sources: [")
    dag = DagBag(ROOT / "dags").dags["crawl"]
    assert dag.params.get_param("recipe").schema["enum"] == ["ada"]
    _, told = dag.doc_md.split("## Recipes that are not offered")
    assert "- `bob`: " in told and "bob.yaml: not YAML" in told
    with pytest.raises(ValueError, match="'bob' is not one of"):
        states({"recipe": "bob"})


def test_a_recipe_that_breaks_later_is_left_to_its_job_to_explain(
    stand_in: StandIn, warehouse: Database, three_sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At night there is no form."""
    (three_sources / "bob.yaml").write_text("sources: [")
    assert crawls_of("bob", [], full=False) == [
        {"recipe": "bob", "options": [""], "profile": "crawl"}
    ]
