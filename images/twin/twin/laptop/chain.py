"""Following the pipelines' runs in Airflow, each to its end."""

import time
from collections.abc import Iterable
from datetime import datetime

from rich.console import Console
from rich.markup import escape

from twin.domain.errors import TwinError
from twin.laptop.airflow_api import AirflowApi, DagRun
from twin.laptop.platform import Platform

SECONDS_BETWEEN_LOOKS = 1.0
#: A run that an asset sets off appears within seconds; this is for a busy machine.
SECONDS_FOR_NEXT_STAGE = 180


class Chain:
    """The pipelines of a platform that is up, as a person at Airflow's web UI follows them."""

    def __init__(self, platform: Platform) -> None:
        self._url = platform.addresses.airflow
        self._console: Console = platform.console
        self.airflow = AirflowApi(self._url)

    def wait_for(self, dag_ids: Iterable[str]) -> None:
        """Wait until Airflow has read these DAGs, and let their runs start."""
        deadline = time.monotonic() + SECONDS_FOR_NEXT_STAGE
        for dag_id in dag_ids:
            while not self.airflow.knows(dag_id):
                if time.monotonic() > deadline:
                    raise TwinError(
                        f"Airflow does not know the DAG {dag_id}: see its import errors"
                    )
                time.sleep(SECONDS_BETWEEN_LOOKS)
            self.airflow.unpause(dag_id)

    def follow(self, dag_id: str, since: datetime) -> None:
        """Wait for the end of the first run that came into being after ``since``; say how it went.

        Raises:
            TwinError: no run came, or it failed (with the end of its log).
        """
        with self._console.status(f"{dag_id} …"):
            run = self._next_run(dag_id, since)
            while not run.finished:
                time.sleep(SECONDS_BETWEEN_LOOKS)
                run = self._next_run(dag_id, since)
        self.say(run)

    def settled(self, run: DagRun, since: datetime) -> DagRun:
        """The newest run of the same DAG, when it has ended."""
        while not run.finished:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            run = self.airflow.runs_since(run.dag_id, since)[-1]
        return run

    def say(self, run: DagRun) -> None:
        """Show how a run ended.

        Raises:
            TwinError: it failed.
        """
        if run.state == "success":
            word = "unchanged" if self.airflow.skipped_everything(run) else "done"
            self._console.print(f"  {run.dag_id:<18} {word:<9} {run.seconds:5.0f} s")
            return
        for task_id, log in self.airflow.failed_tasks(run):
            self._console.print(f"[red]{run.dag_id}.{task_id} failed[/red]\n{escape(log)}")
        url = f"{self._url}/dags/{run.dag_id}/runs/{run.run_id}"
        raise TwinError(f"the pipeline {run.dag_id} failed; look at {url}")

    def _next_run(self, dag_id: str, since: datetime) -> DagRun:
        deadline = time.monotonic() + SECONDS_FOR_NEXT_STAGE
        while not (runs := self.airflow.runs_since(dag_id, since)):
            if time.monotonic() > deadline:
                raise TwinError(f"{dag_id} did not start: its asset was not updated")
            time.sleep(SECONDS_BETWEEN_LOOKS)
        return runs[0]
