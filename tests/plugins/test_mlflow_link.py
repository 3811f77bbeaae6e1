"""The button in the web UI that leads to a task's MLflow run."""

from airflow import plugins_manager

from include.jobs import MLFLOW_RUN_URL


def test_airflow_loads_the_link_and_it_reads_what_jobs_push() -> None:
    links = plugins_manager.get_global_operator_extra_links()
    assert [(link.name, link.xcom_key) for link in links] == [("MLflow run", MLFLOW_RUN_URL)]
    assert not plugins_manager.get_import_errors()
