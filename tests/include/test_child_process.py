"""A child process tree ends whole, in every way in which it can be made to end."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from include.child_process import ChildProcess
from tests.airflow_environment import gone
from tests.servers import wait_until

ENVIRONMENT = {"PATH": os.environ["PATH"]}

#: Ignores SIGTERM, has a child that does too, and writes both pids.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""


def python(program: str, folder: Path) -> ChildProcess:
    return ChildProcess([sys.executable, "-c", program], ENVIRONMENT, folder)


@pytest.mark.parametrize("status", [0, 1, 65, 75, 78, 99])
def test_exit_status_is_the_commands(tmp_path: Path, status: int) -> None:
    assert python(f"import sys; sys.exit({status})", tmp_path).run(print) == status


def test_lines_come_as_they_are_written(tmp_path: Path) -> None:
    seen: list[tuple[float, str]] = []
    child = python(
        "import time; print('one', flush=True); time.sleep(1); print('two'); print('b\\xe4d')",
        tmp_path,
    )
    child.run(lambda line: seen.append((time.monotonic(), line)))
    assert [line for _, line in seen] == ["one", "two", "bäd"]
    assert seen[1][0] - seen[0][0] > 0.8
    assert list(child.last_lines) == ["one", "two", "bäd"]


def test_output_that_is_no_utf8_is_shown_all_the_same(tmp_path: Path) -> None:
    child = python("import sys; sys.stdout.buffer.write(b'\\xff\\xfe ok\\n')", tmp_path)
    assert child.run(print) == 0
    assert child.last_lines[-1].endswith(" ok")


def test_a_killed_child_does_not_read_as_success(tmp_path: Path) -> None:
    child = python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", tmp_path)
    assert child.run(print) == -signal.SIGKILL
    assert not child.stopped


def test_unknown_command(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-command"):
        ChildProcess(["no-such-command"], ENVIRONMENT, tmp_path).run(print)


def test_what_the_command_leaves_behind_is_ended(tmp_path: Path) -> None:
    """Like a container does; and a grandchild that holds the pipe does not hold the task."""
    child = python(
        "import subprocess; p = subprocess.Popen(['sleep', '600'], start_new_session=True); "
        "print(p.pid)",
        tmp_path,
    )
    started = time.monotonic()
    assert child.run(print) == 0
    assert time.monotonic() - started < 5
    assert gone(int(child.last_lines[0]))
    assert not child.stopped


def test_stop_finds_those_whose_parent_was_killed_first(tmp_path: Path) -> None:
    """Airflow signals the whole process group, so the job may be dead before `stop` looks."""
    child = python(
        STUBBORN.replace("signal.signal(signal.SIGTERM, signal.SIG_IGN)", "", 1), tmp_path
    )

    def on_term(*_: object) -> None:
        parent = int(child.last_lines[0].split()[0])
        os.kill(parent, signal.SIGTERM)
        wait_until(lambda: gone(parent), "the parent has ended", seconds=5)
        child.stop()

    before = signal.signal(signal.SIGTERM, on_term)
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
    try:
        child.run(print)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert child.stopped
    assert all(gone(int(pid)) for pid in child.last_lines[0].split())


def test_stop_ends_a_stubborn_tree_before_airflow_loses_patience(tmp_path: Path) -> None:
    child = python(STUBBORN, tmp_path)
    took: list[float] = []

    def on_term(*_: object) -> None:
        started = time.monotonic()
        child.stop()
        took.append(time.monotonic() - started)

    # As in a task process: the signal comes while the main thread is in `run`.
    before = signal.signal(signal.SIGTERM, on_term)
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
    try:
        child.run(print)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert child.stopped
    assert took[0] < 5
    assert all(gone(int(pid)) for pid in child.last_lines[0].split())


def test_an_exception_in_the_task_ends_the_tree(tmp_path: Path) -> None:
    child = python(STUBBORN, tmp_path)

    def too_late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        with pytest.raises(TimeoutError):
            child.run(print)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert all(gone(int(pid)) for pid in child.last_lines[0].split())


def test_stop_after_the_end_is_harmless(tmp_path: Path) -> None:
    child = python("pass", tmp_path)
    child.stop()
    child.run(print)
    child.stop()
    assert not child.stopped


def test_the_child_does_not_outlive_a_task_killed_by_sigkill(tmp_path: Path, root: Path) -> None:
    program = textwrap.dedent(
        f"""
        import os, sys
        sys.path.insert(0, {str(root)!r})
        from pathlib import Path
        from include.child_process import ChildProcess
        code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
        command = [sys.executable, "-c", code]
        ChildProcess(command, dict(os.environ), Path({str(tmp_path)!r})).run(
            lambda line: print(line, flush=True))
        """
    )
    task = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert task.stdout is not None
    pid = int(task.stdout.readline())
    assert not gone(pid)
    task.kill()
    task.wait()
    wait_until(lambda: gone(pid), "the child has ended", seconds=5)
