"""Libraries that a process of Airflow imports once, for all the processes that it forks.

The DAG processor forks one for each file that it reads, the scheduler's LocalExecutor one for each
task. All of them import the Kubernetes client: 0.7 of the 0.75 seconds of a processor that reading
a file takes, and a tenth of a gigabyte that they would share. What Airflow imports beforehand by
itself (``[dag_processor] parsing_pre_import_modules``) is what a DAG file names; ours name
`include.jobs`.

Libraries only. What is ours may change while Airflow runs, and is read anew each time.
"""

from importlib import import_module

LIBRARIES = (
    "airflow.providers.cncf.kubernetes.operators.pod",
    "airflow.providers.cncf.kubernetes.triggers.pod",
    "airflow.providers.standard.operators.hitl",
    "airflow.sdk.execution_time.task_runner",
)


def import_libraries() -> None:
    """Import them, unless that is done."""
    for name in LIBRARIES:
        import_module(name)
