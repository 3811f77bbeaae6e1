"""The executor forks its workers from a process that has the libraries of the tasks."""

import multiprocessing
import sys
from pathlib import Path

from airflow.executors.executor_loader import ExecutorLoader
from airflow.executors.executor_utils import ExecutorName
from airflow.executors.local_executor import LocalExecutor

from include.forked_imports import LIBRARIES
from tests.live_airflow import LiveAirflow


def test_workers_start_after_the_libraries_are_there(tmp_path: Path) -> None:
    """The class is found by the name that Airflow is configured with."""
    name = LiveAirflow(tmp_path, {}).variables["AIRFLOW__CORE__EXECUTOR"]
    found, _ = ExecutorLoader.import_executor_cls(ExecutorName(module_path=name))
    assert issubclass(found, LocalExecutor)
    executor = found(parallelism=2)
    executor.start()
    try:
        assert set(LIBRARIES) <= set(sys.modules)
        alive = {each.pid for each in multiprocessing.active_children()}
        assert len(executor.workers) == 2
        assert set(executor.workers) <= alive
    finally:
        executor.end()
    assert not multiprocessing.active_children()
