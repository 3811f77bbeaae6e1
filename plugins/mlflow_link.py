"""Gives every task that logged to MLflow a button that leads to its run."""

from airflow.plugins_manager import AirflowPlugin
from airflow.serialization.definitions.operatorlink import XComOperatorLink

#: What `include.jobs.JobOperator` pushes. Not imported from there: the web server that loads
#: this plugin would load the Kubernetes client with it.
MLFLOW_RUN_URL = "mlflow_run_url"


class MlflowLink(AirflowPlugin):
    """A link "MLflow run" on each task instance that has the XCom ``mlflow_run_url``."""

    name = "mlflow_link"
    global_operator_extra_links = [XComOperatorLink(name="MLflow run", xcom_key=MLFLOW_RUN_URL)]  # noqa: RUF012 - Airflow's way
