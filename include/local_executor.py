"""Airflow's LocalExecutor, whose tasks need not import the Kubernetes client each for itself."""

from airflow.executors.local_executor import LocalExecutor

from include.forked_imports import import_libraries


class PreparedLocalExecutor(LocalExecutor):
    """Named in ``[core] executor``. Its workers are forked when it starts."""

    def start(self) -> None:
        """Import the libraries, then fork the workers."""
        import_libraries()
        super().start()
