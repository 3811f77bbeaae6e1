"""A command as a tree of child processes of which nothing is left behind."""

import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

#: Airflow's supervisor turns SIGTERM into SIGKILL after 5 s; this must be over before.
GRACE_SECONDS = 3.0
SECONDS_BETWEEN_LOOKS = 0.1
LAST_LINES = 80
#: Variable by which the descendants of one child are known.
MARK = "TWIN_CHILD_PROCESS"


class ChildProcess:
    """Runs one command to its end, or ends it with all its descendants.

    The child stays in the task's process group, so that whoever kills the group kills the job.
    Where util-linux is installed, it also dies if the task process is killed by SIGKILL.
    Descendants are known by a variable in their environment, since those whose parent was killed
    first can be found by no other trace.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        self.command = list(command)
        self._mark = uuid.uuid4().hex
        self.environment = {**environment, MARK: self._mark}
        self.folder = folder
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self.stopped = False
        self._process: subprocess.Popen[str] | None = None
        self._over = False

    def run(self, write_line: Callable[[str], object]) -> int:
        """Run the command, giving each line of its output to ``write_line`` as it comes.

        Like a container, it leaves nothing behind that the command has started.

        Returns:
            The exit status; negative is the signal that ended it. If `stop` was called
            meanwhile, `stopped` is true.

        Raises:
            FileNotFoundError: there is no such command on the child's PATH.
        """
        self._process = process = self._start()
        reader = threading.Thread(target=self._read, args=(process, write_line), daemon=True)
        reader.start()
        try:
            # Looked at again and again, since `Popen.wait` would hold its lock against `stop`,
            # which runs in a signal handler of this very thread.
            while process.poll() is None:
                time.sleep(SECONDS_BETWEEN_LOOKS)
        finally:
            self._end_all(process)
            reader.join(timeout=2)
            self._over = True
        return process.returncode

    def stop(self) -> None:
        """End the process and its descendants: SIGTERM, after `GRACE_SECONDS` SIGKILL.

        The process may have ended just now: Airflow signals the whole process group.
        """
        if self._process is None or self._over:
            return
        self.stopped = True
        self._end_all(self._process)

    def _start(self) -> subprocess.Popen[str]:
        program = shutil.which(self.command[0], path=self.environment.get("PATH"))
        if program is None:
            raise FileNotFoundError(self.command[0])
        guard = shutil.which("setpriv")
        prefix = [guard, "--pdeathsig", "KILL", "--"] if guard else []
        return subprocess.Popen(  # noqa: S603 - the command is the pod's, not a user's
            [*prefix, program, *self.command[1:]],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )

    def _read(self, process: subprocess.Popen[str], write_line: Callable[[str], object]) -> None:
        assert process.stdout is not None  # noqa: S101 - for mypy: it is a pipe
        for line in process.stdout:
            self.last_lines.append(line.rstrip())
            write_line(line.rstrip())

    def _end_all(self, process: subprocess.Popen[str]) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            # Looked up again, since some may have been born meanwhile.
            family = _marked(self._mark)
            if process.poll() is not None and not family:
                return
            for member in family:
                _signal(member, number)
            self._wait(process, family)

    def _wait(self, process: subprocess.Popen[str], family: list[psutil.Process]) -> None:
        # psutil must not wait for the child itself: it would reap it and take its exit status.
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None and not any(_alive(member) for member in family):
                return
            time.sleep(0.05)


def _marked(mark: str) -> list[psutil.Process]:
    """Living processes whose environment carries this mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and _alive(process):
                found.append(process)
        except (psutil.Error, OSError):
            continue  # ended meanwhile, or somebody else's
    return found


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
