"""Files of DAGs are read again when the recipes change, and not otherwise."""

import json
from pathlib import Path

import pytest
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.models.dagbag import DagPriorityParsingRequest
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import delete, select

from include import recipe_files
from include.recipes_bundle import RecipesBundle
from tests.airflow_environment import ROOT

DAGS = sorted(path.name for path in (ROOT / "dags").glob("*.py"))


@pytest.fixture(scope="module", autouse=True)
def _metadata_database() -> None:
    initdb()


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(recipe_files, "RECIPES", tmp_path)
    return tmp_path


@pytest.fixture
def bundle(recipes: Path, monkeypatch: pytest.MonkeyPatch) -> RecipesBundle:
    """As the configuration of the laptop and of the images names it."""
    given = [{"name": "dags-folder", "classpath": "include.recipes_bundle.RecipesBundle"}]
    monkeypatch.setenv(
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST",
        json.dumps([{**one, "kwargs": {}} for one in given]),
    )
    (made,) = DagBundlesManager().get_all_dag_bundles()
    assert isinstance(made, RecipesBundle)
    return made


def asked() -> list[str]:
    """Files that the DAG processor is asked to read at once; it deletes what it has seen."""
    with create_session() as session:
        files = sorted(session.scalars(select(DagPriorityParsingRequest.relative_fileloc)))
        session.execute(delete(DagPriorityParsingRequest))
    return files


def test_a_new_recipe_has_all_files_read_again(bundle: RecipesBundle, recipes: Path) -> None:
    bundle.refresh()
    assert asked() == []
    (recipes / "ada.yaml").write_text("name: ada")
    bundle.refresh()
    assert asked() == DAGS
    bundle.refresh()
    assert asked() == []
    (recipes / "ada.yaml").unlink()
    bundle.refresh()
    bundle.refresh()
    assert asked() == DAGS


def test_two_changes_in_a_row_ask_once(bundle: RecipesBundle, recipes: Path) -> None:
    for name in ("ada", "bob"):
        (recipes / f"{name}.yaml").write_text(f"name: {name}")
        bundle.refresh()
    assert asked() == DAGS
