"""The part of Airflow's REST API (v2) that the demo needs."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from twin.domain.errors import TwinError

FINISHED = {"success", "failed"}
IDEMPOTENT = {"GET", "PATCH"}
#: Seconds between tries: Airflow answers 500 while another process holds its SQLite database.
PAUSES = (1, 3, 9)


@dataclass(frozen=True)
class DagRun:
    """One run of a pipeline. ``state`` is queued, running, success or failed."""

    dag_id: str
    run_id: str
    state: str
    started: datetime | None
    ended: datetime | None

    @property
    def finished(self) -> bool:
        """Whether it will not change any more."""
        return self.state in FINISHED

    @property
    def seconds(self) -> float:
        """How long it has run, or ran."""
        if self.started is None:
            return 0.0
        return ((self.ended or datetime.now(UTC)) - self.started).total_seconds()


class AirflowApi:
    """A client of one Airflow whose auth manager lets local callers in as admin."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=120)  # its one worker, beside a training

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> DagRun:
        """Start a run by hand.

        Raises:
            TwinError: Airflow refuses; carries its own words.
        """
        body = {"logical_date": None, "conf": conf}
        return _dag_run(self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body))

    def knows(self, dag_id: str) -> bool:
        """Whether the DAG file has been read yet."""
        return self._request("GET", f"/api/v2/dags/{dag_id}").is_success

    def unpause(self, dag_id: str) -> None:
        """Let the DAG's runs start: a paused DAG leaves triggered runs queued for ever."""
        if self._call("GET", f"/api/v2/dags/{dag_id}")["is_paused"]:
            self._call("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": False})

    def runs_since(self, dag_id: str, since: datetime) -> list[DagRun]:
        """Runs of a DAG that came into being after ``since``, oldest first."""
        parameters = {"run_after_gte": since.isoformat(), "order_by": "run_after", "limit": 20}
        answer = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns", params=parameters)
        return [_dag_run(row) for row in answer["dag_runs"]]

    def failed_tasks(self, run: DagRun) -> list[tuple[str, str]]:
        """Task ids of a run that failed, each with the last lines of its log."""
        path = f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances"
        rows = self._call("GET", path)["task_instances"]
        return [
            (row["task_id"], self._log_tail(path, row)) for row in rows if row["state"] == "failed"
        ]

    def skipped_everything(self, run: DagRun) -> bool:
        """Whether every job of the run had nothing to do."""
        path = f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances"
        jobs = [
            row
            for row in self._call("GET", path)["task_instances"]
            if row["operator_name"] == "JobOperator"
        ]
        return bool(jobs) and all(row["state"] == "skipped" for row in jobs)

    def _log_tail(self, path: str, row: dict[str, Any], lines: int = 12) -> str:
        attempt = max(row.get("try_number") or 1, 1)
        index = row.get("map_index", -1)
        answer = self._call(
            "GET", f"{path}/{row['task_id']}/logs/{attempt}", params={"map_index": index}
        )
        content = answer.get("content", [])
        events = [item.get("event", "") if isinstance(item, dict) else item for item in content]
        return "\n".join(str(event) for event in events[-lines:])

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        answer = self._request(method, path, **arguments)
        for pause in PAUSES if method in IDEMPOTENT else ():
            if not answer.is_server_error:
                break
            time.sleep(pause)
            answer = self._request(method, path, **arguments)
        if answer.is_error:
            raise TwinError(f"Airflow refuses {method} {path}: {answer.text[:500]}")
        body: dict[str, Any] = answer.json()
        return body

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            if "authorization" not in self._http.headers:
                self._log_in()
            answer = self._http.request(method, path, **arguments)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                self._log_in()
                answer = self._http.request(method, path, **arguments)
            return answer
        except httpx.HTTPError as error:
            raise TwinError(f"Airflow at {self._http.base_url} does not answer: {error}") from None

    def _log_in(self) -> None:
        token = self._http.get("/auth/token").json()["access_token"]
        self._http.headers["authorization"] = f"Bearer {token}"


def _dag_run(row: dict[str, Any]) -> DagRun:
    return DagRun(
        dag_id=row["dag_id"],
        run_id=row["dag_run_id"],
        state=row["state"],
        started=_moment(row.get("start_date")),
        ended=_moment(row.get("end_date")),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None
