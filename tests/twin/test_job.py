"""The job contract: exit codes, one-line errors, and a result whichever way a job ends."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
import typer

from twin.domain import errors
from twin.job import MAX_FAILURES_IN_RESULT, Job, run_job
from twin.settings import get_settings


@pytest.fixture(autouse=True)
def recipes(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.setenv("TWIN_RECIPES", str(root / "include" / "recipes"))
    get_settings.cache_clear()


def outcome(tmp_path: Path, body: Callable[[Job], None], recipe: str = "handbook") -> tuple:
    path = tmp_path / "deep" / "result.json"
    with pytest.raises(typer.Exit) as caught:
        run_job("test job", body, recipe=recipe, run_id="r1", result=str(path))
    return caught.value.exit_code, json.loads(path.read_text())


def raising(error: Exception) -> Callable[[Job], None]:
    def body(job: Job) -> None:
        raise error

    return body


def test_a_finished_job_reports_counts_and_cost(tmp_path: Path) -> None:
    def body(job: Job) -> None:
        job.counts.read, job.counts.written = 3, 2
        job.fail_item("page", "empty")
        job.result.ids["dataset"] = "d1"

    code, result = outcome(tmp_path, body)
    assert code == 0
    assert result["counts"] == {"read": 3, "written": 2, "skipped": 0, "failed": 1}
    assert result["failures"] == {"page": "empty"}
    assert (result["job"], result["run_id"], result["status"]) == ("test job", "r1", "done")
    assert result["seconds"] >= 0
    assert result["peak_memory_mb"] > 10


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (errors.BadDataError("bad page"), 65, "failed"),
        (errors.BadConfigurationError("no key"), 78, "failed"),
        (errors.TryAgainError("store down"), 75, "failed"),
        (errors.NothingToDo("index matches"), 99, "skipped"),
        (errors.TwinError("other"), 1, "failed"),
    ],
)
def test_each_error_has_its_exit_code_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: errors.TwinError, code: int,
    status: str,
) -> None:  # fmt: skip
    found, result = outcome(tmp_path, raising(error))
    assert (found, result["status"], result["message"]) == (code, status, str(error))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("twin ")]
    assert len(lines) == 1
    assert str(error) in lines[0]


def test_a_defect_keeps_its_traceback_and_still_reports(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with pytest.raises(ZeroDivisionError):
        run_job("x", lambda job: print(1 / 0), recipe="handbook", result=str(path))
    result = json.loads(path.read_text())
    assert result["status"] == "failed"
    assert "ZeroDivisionError" in result["message"]


def test_an_unknown_recipe_is_bad_data(tmp_path: Path) -> None:
    code, result = outcome(tmp_path, lambda job: None, recipe="nobody")
    assert code == 65
    assert "no recipe 'nobody'" in result["message"]


def test_the_result_names_only_the_first_failures(tmp_path: Path) -> None:
    def body(job: Job) -> None:
        for number in range(200):
            job.fail_item(str(number), "bad")

    _, result = outcome(tmp_path, body)
    assert result["counts"]["failed"] == 200
    assert len(result["failures"]) == MAX_FAILURES_IN_RESULT


def test_a_result_may_go_to_any_file_system(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/a/b/result.json"
    with pytest.raises(typer.Exit):
        run_job("x", lambda job: None, recipe="handbook", result=uri)
    assert json.loads((tmp_path / "a" / "b" / "result.json").read_text())["status"] == "done"


def test_progress_without_a_terminal_is_log_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def body(job: Job) -> None:
        with job.progress("pages", 2) as advance:
            advance(1)
            advance(1)

    outcome(tmp_path, body)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "pages" in line]
    assert [(line["done"], line["total"]) for line in lines] == [(2, 2)]


def test_logging_outlives_the_standard_error_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that runs a job in-process may replace and close standard error afterwards."""
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    outcome(tmp_path, lambda job: None)
    first.close()
    monkeypatch.setattr(sys, "stderr", second)
    structlog.get_logger("twin").warning("still here")
    assert "still here" in second.getvalue()


def test_sigterm_leaves_no_half_result(tmp_path: Path, root: Path) -> None:
    """A pod that is told to end while it works leaves either no result or a whole one."""
    script = (
        "import time; from twin.job import run_job\n"
        f"run_job('x', lambda job: (print('up', flush=True), time.sleep(60)), recipe='handbook',"
        f" result='{tmp_path}/result.json')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root, env=dict(os.environ)
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) != 0
    time.sleep(0.1)
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "result.json"])
