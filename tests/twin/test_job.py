"""The job contract: exit codes, one-line errors, and a result whichever way a job ends."""

import errno
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog
import typer
from safetensors import SafetensorError

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


def test_the_memory_of_whoever_started_a_job_is_not_its_own(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    code = (
        "from twin.job import run_job; "
        f"run_job('x', lambda job: None, recipe='handbook', result={str(path)!r})"
    )
    starter = (
        "import subprocess, sys; ballast = b'x' * 400_000_000; "
        f"subprocess.run([sys.executable, '-c', {code!r}])"
    )
    subprocess.run([sys.executable, "-c", starter], check=True, capture_output=True, timeout=60)
    assert json.loads(path.read_text())["peak_memory_mb"] < 300


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


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/home/x"), 78, "may not use /home/x"),
        (OSError(errno.EROFS, "Read-only file system", "/etc/x"), 78, "TWIN_HOME"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/home/x"), 75, "no space left for /home/x"),
        (SafetensorError("No space left on device (os error 28)"), 75, "no space left: make some"),
    ],
)
def test_a_disk_that_cannot_be_written_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: Exception, code: int, words: str
) -> None:
    found, result = outcome(tmp_path, raising(error))
    assert (found, result["status"]) == (code, "failed")
    assert words in capsys.readouterr().err


def test_a_full_disk_is_worth_another_try(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def body(job: Job) -> None:
        Path("/dev/full").write_text("x")

    code, result = outcome(tmp_path, body)
    assert (code, result["status"]) == (75, "failed")
    assert "no space left: make some" in capsys.readouterr().err


def test_other_errors_of_the_system_stay_defects(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with pytest.raises(FileNotFoundError):
        run_job("test job", raising(FileNotFoundError("x")), recipe="handbook", result=str(path))
    assert json.loads(path.read_text())["message"] == "FileNotFoundError: x"


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


def two_pages(job: Job) -> None:
    with job.progress("pages", 2) as advance:
        advance(1)
        advance(1)


def test_in_a_pod_the_log_is_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    outcome(tmp_path, two_pages)
    pages, result = map(json.loads, capsys.readouterr().err.splitlines())
    assert (pages["event"], pages["done"], pages["total"], pages["seconds_left"]) == (
        "pages", 2, 2, 0
    )  # fmt: skip
    assert pages["per_second"] > 0
    assert (result["event"], result["status"], result["counts"]["read"]) == ("result", "done", 0)


def test_elsewhere_the_log_is_lines_for_people_and_the_last_is_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    def body(job: Job) -> None:
        two_pages(job)
        job.counts.read = 3
        raise errors.BadDataError("no page is readable")

    assert outcome(tmp_path, body)[0] == 65
    pages, ended, reason = capsys.readouterr().err.splitlines()
    assert "[info" in pages
    assert "done=2" in pages
    assert "seconds_left=0" in pages
    assert "test job: failed" in ended
    assert "read=3" in ended
    assert reason == "twin test job: error: no page is readable"


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


def ended(root: Path, body: str, *, signals: int = 1) -> subprocess.CompletedProcess[str]:
    """A process that runs this body as a job and gets SIGTERM once it has said that it is up."""
    script = (
        "import os, pathlib, sys, time\n"
        "from twin.job import run_job\n"
        # Not one long sleep: a signal just before that call would wait for its end.
        "up = lambda: print('up', flush=True)\n"
        "wait = lambda: [time.sleep(0.1) for _ in range(600)]\n"
        f"{body}"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=root,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    for _ in range(signals):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    _, said = process.communicate(timeout=20)
    return subprocess.CompletedProcess([], process.returncode, "", said)


def test_sigterm_leaves_a_whole_result_that_says_so(tmp_path: Path, root: Path) -> None:
    """A pod that is deleted, a task that is cleared or out of time."""
    path = tmp_path / "result.json"
    done = ended(
        root,
        "body = lambda job: (up(), wait())\n"
        f"run_job('x', body, recipe='handbook', result={str(path)!r})",
    )
    assert done.returncode == 128 + signal.SIGTERM
    result = json.loads(path.read_text())
    assert (result["status"], result["message"]) == ("failed", "told to end (SIGTERM)")
    assert "twin x: error: told to end (SIGTERM)" in done.stderr.splitlines()
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == [path]


def test_a_second_sigterm_does_not_interrupt_the_end(tmp_path: Path, root: Path) -> None:
    """Airflow signals the whole process group, and the task its child."""
    path = tmp_path / "result.json"
    done = ended(
        root,
        "def body(job):\n"
        "    try:\n"
        "        up(); wait()\n"
        "    finally:\n"
        "        time.sleep(1); job.result.ids['ended'] = 'in order'\n"
        f"run_job('x', body, recipe='handbook', result={str(path)!r})",
        signals=3,
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert json.loads(path.read_text())["ids"] == {"ended": "in order"}


def test_sigterm_leaves_no_half_published_folder(tmp_path: Path, root: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    for number in range(200):
        (made / str(number)).write_bytes(b"w" * 500_000)
    done = ended(
        root,
        "import threading\n"
        "from twin.stores.files import FileStore\n"
        f"made, files = pathlib.Path({str(made)!r}), pathlib.Path({str(tmp_path / 'files')!r})\n"
        "def watch():\n"
        "    while not list(files.glob('.publish-*/folder/*')): time.sleep(0.001)\n"
        "    up()\n"
        "threading.Thread(target=watch, daemon=True).start()\n"
        "body = lambda job: (FileStore(str(files)).publish_folder(made, 'x'), wait())\n"
        "run_job('x', body, recipe='handbook')",
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert list((tmp_path / "files").glob(".publish-*")) == []


def test_sigterm_marks_the_run_killed(mlflow_url: str, root: Path) -> None:
    import mlflow

    done = ended(
        root,
        "from twin.settings import Settings\n"
        "from twin.stores.tracking import tracking_run\n"
        f"settings = Settings(mlflow_tracking_uri={mlflow_url!r})\n"
        "def body(job):\n"
        "    with tracking_run(settings, experiment='ended', name='sft'):\n"
        "        up(); wait()\n"
        "run_job('x', body, recipe='handbook')",
    )
    assert done.returncode == 128 + signal.SIGTERM
    client = mlflow.MlflowClient(mlflow_url)
    experiment = client.get_experiment_by_name("ended")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "KILLED"


def test_a_job_gives_the_signal_back(tmp_path: Path) -> None:
    """A program that runs jobs in-process keeps its own handler; in a thread none can be set."""
    before = signal.getsignal(signal.SIGTERM)
    seen = []
    outcome(tmp_path, lambda job: seen.append(signal.getsignal(signal.SIGTERM)))
    assert seen != [before]
    assert signal.getsignal(signal.SIGTERM) == before
    with ThreadPoolExecutor(1) as threads:
        code, _ = threads.submit(outcome, tmp_path, lambda job: None).result()
    assert code == 0
