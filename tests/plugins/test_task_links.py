"""The buttons on a task's page in the web UI."""

from airflow import plugins_manager

from include.job_results import MLFLOW_RUN_URL, REASON_URL


def test_airflow_loads_the_links_and_they_read_what_jobs_push() -> None:
    links = plugins_manager.get_global_operator_extra_links()
    assert [(link.name, link.xcom_key) for link in links] == [
        ("MLflow run", MLFLOW_RUN_URL),
        ("Reason", REASON_URL),
    ]
    assert not plugins_manager.get_import_errors()
