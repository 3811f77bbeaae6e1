"""Buttons on a task's page: its MLflow run, and why its job failed or had nothing to do."""

from airflow.plugins_manager import AirflowPlugin
from airflow.serialization.definitions.operatorlink import XComOperatorLink

#: What `include.jobs.JobOperator` pushes. Not imported from there: the web server that loads
#: this plugin would load the Kubernetes client with it.
MLFLOW_RUN_URL = "mlflow_run_url"
REASON_URL = "reason_url"


class TaskLinks(AirflowPlugin):
    """A link on each task instance that has the XCom of that link."""

    name = "task_links"
    global_operator_extra_links = [  # noqa: RUF012 - Airflow's way
        XComOperatorLink(name="MLflow run", xcom_key=MLFLOW_RUN_URL),
        XComOperatorLink(name="Reason", xcom_key=REASON_URL),
    ]
