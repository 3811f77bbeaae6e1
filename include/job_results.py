"""What a job leaves: its result, the lines that it wrote, and the XComs that are made of them."""

import json
import logging
import re
from collections.abc import Iterable
from typing import Any

from airflow.sdk.exceptions import AirflowException

#: XComs under which the web UI finds a task's links (plugins/task_links.py).
MLFLOW_RUN_URL, REASON_URL = "mlflow_run_url", "reason_url"

#: XCom that says why a job failed or had nothing to do; ``reason_url`` leads to it.
REASON = "reason"

#: How lines of a job begin that are more than information: as its log marks them, or its reason.
_LEVELS = {
    re.compile(r"\S+ \[warning\s*\]"): logging.WARNING,
    re.compile(r"\S+ \[(error|critical)\s*\]|twin [\w -]+: error: "): logging.ERROR,
}

_SAID = re.compile(r"twin [\w -]+: (?:error|nothing to do): (?P<message>.+)")


def level_of(line: str) -> int:
    """The level that a job gave a line of its log."""
    return next((level for mark, level in _LEVELS.items() if mark.match(line)), logging.INFO)


def reason_in(lines: Iterable[str]) -> str | None:
    """The reason that a job gave in the last of its lines that has one."""
    said = reversed([*lines])
    return next((match["message"] for match in map(_SAID.search, said) if match), None)


def read_result(uri: str, job: str) -> dict[str, Any]:
    """The result that a job has left.

    Raises:
        AirflowException: there is none, or it is something else.
    """
    from airflow.sdk import ObjectStoragePath

    try:
        result = json.loads(ObjectStoragePath(uri).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AirflowException(
            f"{job} left no result at {uri}: do Airflow ([twin] files_uri) and the "
            "jobs (TWIN_FILES_URI) name the same store?"
        ) from None
    if not isinstance(result, dict):
        raise AirflowException(f"{uri} is no job's result")
    return result


def push_result(ti: Any, result: dict[str, Any]) -> None:
    """Leave what a job counted and made as XComs."""
    ti.xcom_push(key="counts", value=result.get("counts", {}))
    ti.xcom_push(key="ids", value=result.get("ids", {}))
    ti.xcom_push(key="detail", value=result.get("detail", {}))
    url = str(result.get("uris", {}).get("mlflow_run", ""))
    # It becomes a link in the web UI, so nothing but a web address may stand there.
    if url.startswith(("http://", "https://")):
        ti.xcom_push(key=MLFLOW_RUN_URL, value=url)


def push_reason(ti: Any, message: str) -> None:
    """Let the task's page say why, so that nobody need open a log for it."""
    ti.xcom_push(key=REASON, value=message)
    page = str(ti.log_url).partition("?")[0]
    ti.xcom_push(key=REASON_URL, value=f"{page}/xcom")
