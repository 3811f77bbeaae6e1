"""Airflow's own DAG processor offers a recipe that was written after it had read all files."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests import servers
from tests.airflow_environment import ROOT
from tests.live_airflow import AIRFLOW, BUNDLES


@pytest.mark.slow
def test_a_new_recipe_is_offered_long_before_files_are_read_again_by_themselves(
    tmp_path: Path,
) -> None:
    """Slow: it buys the whole way, from a file in the folder of recipes to the stored form."""
    project, home = tmp_path / "project", tmp_path / "airflow"
    for folder in ("dags", "include"):
        shutil.copytree(ROOT / folder, project / folder)
    variables = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": str(project),
        "AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(BUNDLES),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
    }
    subprocess.run([AIRFLOW, "db", "migrate"], env=variables, capture_output=True, check=True)

    def offered(dag: str) -> list[str]:
        """Recipes in a DAG's newest form, as the web UI reads it."""
        with sqlite3.connect(home / "airflow.db") as database:
            rows = database.execute(
                "SELECT data FROM serialized_dag WHERE dag_id = ? ORDER BY last_updated DESC",
                (dag,),
            ).fetchall()
        return [name for name in ("handbook", "ada") if rows and f'"{name}"' in rows[0][0]]

    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, AIRFLOW, "dag-processor"], env=variables, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        known = ("backup", "crawl", "evaluation", "training")
        servers.wait_until(lambda: all(map(offered, known)), "all files are read", 200, 0.5)
        recipe = yaml.safe_load((project / "include/recipes/handbook.yaml").read_text())
        begun = time.monotonic()
        (project / "include/recipes/ada.yaml").write_text(yaml.safe_dump({**recipe, "name": "ada"}))
        for dag in known:
            servers.wait_until(lambda dag=dag: "ada" in offered(dag), f"{dag} offers it", 120, 0.2)
            print(f"\n{dag} offers a new recipe after {time.monotonic() - begun:.1f} seconds")
    finally:
        servers.end_group(process)
